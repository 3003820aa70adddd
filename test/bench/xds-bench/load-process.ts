import { LoadClient, type LoadType } from './load-client.ts';

/** The load clients' process. Commands come and answers go over the fork's channel. */
export type LoadCommand =
  | {
      readonly kind: 'connect';
      readonly url: string;
      readonly clients: readonly {
        readonly id: string;
        readonly metadata: Record<string, unknown>;
        /** Of `identities`. */
        readonly namespace: string;
      }[];
      readonly identities: Readonly<Record<string, { readonly key: string; readonly cert: string }>>;
      /** Hosts that every client must hold: a cluster, its endpoints and a virtual host of each. */
      readonly hosts: readonly string[];
      readonly timeoutMs: number;
    }
  /** Arms the wait for a change: responses of these types that name this text, at every client. */
  | {
      readonly kind: 'expect';
      readonly text: string;
      readonly types: readonly LoadType[];
      readonly timeoutMs: number;
    }
  /** Waits until nothing has come for a while. */
  | { readonly kind: 'quiet'; readonly ms: number; readonly timeoutMs: number }
  | { readonly kind: 'close' };

export interface LoadAnswer {
  readonly error?: string;
  /** performance.timeOrigin + performance.now of the last client, ms. */
  readonly lastAt: number;
  readonly firstAt: number;
  readonly bytes: number;
  readonly responses: number;
  /** Number of resources at the first client, by type. */
  readonly held: Readonly<Record<string, number>>;
}

let clients: LoadClient[] = [];
let bytesBefore = 0;
let responsesBefore = 0;

process.on('message', (command: LoadCommand) => {
  run(command).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ ...answerOf(0, 0), error: String(error) }),
  );
});

async function run(command: LoadCommand): Promise<LoadAnswer> {
  mark();
  if (command.kind === 'connect') return connectAll(command);
  if (command.kind === 'expect') return expectChange(command);
  if (command.kind === 'quiet') return waitQuiet(command.ms, command.timeoutMs);
  for (const client of clients) client.close();
  clients = [];
  setTimeout(() => process.exit(0), 20);
  return answerOf(0, 0);
}

function mark(): void {
  bytesBefore = sum((client) => client.bytes);
  responsesBefore = sum((client) => client.responses);
}

function sum(of: (client: LoadClient) => number): number {
  return clients.reduce((total, client) => total + of(client), 0);
}

function answerOf(firstAt: number, lastAt: number): LoadAnswer {
  const held = Object.fromEntries([...(clients[0]?.held ?? [])].map(([type, map]) => [type, map.size]));
  return {
    firstAt,
    lastAt,
    bytes: sum((client) => client.bytes) - bytesBefore,
    responses: sum((client) => client.responses) - responsesBefore,
    held,
  };
}

const wallNow = (): number => performance.timeOrigin + performance.now();

async function connectAll(command: Extract<LoadCommand, { kind: 'connect' }>): Promise<LoadAnswer> {
  const firstAt = wallNow();
  clients = command.clients.map(
    ({ id, metadata, namespace }) =>
      new LoadClient(command.url, id, { metadata, ...command.identities[namespace] }),
  );
  const missing = new Set(clients);
  const until = performance.now() + command.timeoutMs;
  while (missing.size > 0) {
    for (const client of missing) if (holdsAll(client, command.hosts.length)) missing.delete(client);
    if (missing.size === 0) break;
    const failed = clients.find((client) => client.error);
    if (failed) throw new Error(`client ${failed.id}: ${failed.error}`);
    if (performance.now() > until) throw new Error(describeMissing(missing, command.hosts));
    await sleep(20);
  }
  const late = clients.find((client) => missingHosts(client, command.hosts).length > 0);
  if (late) throw new Error(describeMissing(new Set([late]), command.hosts));
  const lastAt = performance.timeOrigin + Math.max(...clients.map((client) => client.lastAckAt));
  return answerOf(firstAt, lastAt);
}

/** Cheap test: the exact one runs once at the end. */
function holdsAll(client: LoadClient, count: number): boolean {
  const size = (type: LoadType): number => client.held.get(type)?.size ?? 0;
  return size('cluster') >= count && size('endpoints') >= count && size('virtualHost') >= count;
}

function missingHosts(client: LoadClient, hosts: readonly string[]): string[] {
  const covered = (type: LoadType): Set<string> => {
    const found = new Set<string>();
    for (const name of client.held.get(type)?.keys() ?? []) {
      for (const part of name.split(/[|/:]/)) if (part.includes('.')) found.add(part);
    }
    return found;
  };
  const parts = [covered('cluster'), covered('endpoints'), covered('virtualHost')];
  return hosts.filter((host) => !parts.every((part) => part.has(host)));
}

function describeMissing(missing: ReadonlySet<LoadClient>, hosts: readonly string[]): string {
  const client = [...missing][0] as LoadClient;
  const held = [...client.held].map(([type, map]) => `${type} ${map.size}`).join(', ');
  const lacking = missingHosts(client, hosts);
  return `${missing.size} clients do not hold everything; ${client.id} lacks ${lacking.length} hosts (${lacking.slice(0, 3).join(', ')}) and holds ${held}`;
}

async function expectChange(command: Extract<LoadCommand, { kind: 'expect' }>): Promise<LoadAnswer> {
  const { text, types, timeoutMs } = command;
  let firstAt = 0;
  let lastAt = 0;
  await new Promise<void>((resolve, reject) => {
    const waiting = new Map(clients.map((client) => [client, new Set<LoadType>(types)]));
    const timer = setTimeout(
      () => reject(new Error(`${waiting.size} clients did not hear of ${text} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    for (const client of clients)
      client.onResponse = (_client, response) => {
        const left = waiting.get(client);
        if (!left?.has(response.type)) return;
        if (!response.resources.some((resource) => resource.name.includes(text))) return;
        left.delete(response.type);
        firstAt ||= wallNow();
        lastAt = wallNow();
        if (left.size > 0) return;
        waiting.delete(client);
        if (waiting.size > 0) return;
        clearTimeout(timer);
        resolve();
      };
    process.send?.({ armed: true });
  });
  return answerOf(firstAt, lastAt);
}

async function waitQuiet(ms: number, timeoutMs: number): Promise<LoadAnswer> {
  const until = performance.now() + timeoutMs;
  let seen = sum((client) => client.bytes);
  let since = performance.now();
  const firstAt = wallNow();
  while (performance.now() - since < ms && performance.now() < until) {
    await sleep(10);
    const now = sum((client) => client.bytes);
    if (now !== seen) since = performance.now();
    seen = now;
  }
  return answerOf(
    firstAt,
    performance.timeOrigin + Math.max(0, ...clients.map((client) => client.lastAckAt)),
  );
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { ConfigObject } from '../../../src/config/object.ts';
import { passthroughCluster } from '../../../src/plan/names.ts';
import type { Call } from '../../../src/simulate/call.ts';
import { DecodedResources } from '../../../src/simulate/decoded-resources.ts';
import { typeUrls } from '../../../src/snapshot/resource.ts';
import { AccessLog } from '../access-log.ts';
import { rejectedUpdates } from '../compiled-mesh.ts';
import { randomTokens } from '../security-arbitrary.ts';
import { startTokenMaker } from '../tokens.ts';
import type { Backend, TrafficRequest } from '../traffic-arbitrary.ts';
import { admitted, removableId } from './admitted.ts';
import type { Outside } from './captured-arbitrary.ts';
import { type Answered, Clients } from './client.ts';
import {
  type Applications,
  differenceOf,
  isLogged,
  type Logged,
  type Observed,
  portOf,
  type Sidecar,
  type Situation,
} from './compare.ts';
import { explanationDifference } from './explain.ts';
import { connectionKey, isMirrored, logged, logKey, requestKey } from './log-lines.ts';
import { callerUri, type Places, startPlaces } from './places.ts';
import type { Entry } from './starting.ts';

export interface Differential {
  /** Where endpoints of configurations may be. */
  readonly backends: readonly Backend[];
  /** Where a server ends TLS itself. */
  readonly tlsPort: number;
  /** Where nobody listens. */
  readonly deadPort: number;
  /** Where requests may come in. */
  readonly entries: readonly string[];
  /** Where connections without HTTP may come in. */
  readonly opaqueEntries: readonly string[];
  /** Where captured clients may call, and who is there outside the mesh. */
  readonly capturedEntries: readonly string[];
  readonly outside: Outside;
  /** Keys and tokens of issuers. */
  readonly keys: string;
  readonly tokens: readonly string[];
  /** Puts a configuration in force in place of the last one. Objects that the admission refuses are left out. */
  use(config: readonly ConfigObject[]): Promise<void>;
  /** What simulator and Envoy disagree on, by place of the request; a disagreement that goes away by itself is none. */
  compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>>;
  /** Sidecars that load what they need know nothing any more. */
  renewLazy(): Promise<void>;
  /** What the last comparison saw: statuses, and who refused. */
  outcomes(): readonly string[];
  /** Updates that Envoy refused. */
  refusals(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

export async function startDifferential(): Promise<Differential> {
  return new Harness(await startPlaces());
}

/**
 * How long lines are waited for that need not come: of connections that were closed before anybody could write of them. One that comes later
 * makes the request one that is made again.
 */
const optionalMs = 300;

const present = (keys: readonly (string | undefined)[]): string[] => keys.filter((key) => key !== undefined);

class Harness implements Differential {
  readonly entries: readonly string[];
  readonly opaqueEntries: readonly string[];
  readonly capturedEntries: readonly string[];
  readonly outside: Outside;
  readonly backends: readonly Backend[];
  readonly tlsPort: number;
  readonly deadPort: number;
  readonly keys: string;
  readonly tokens: readonly string[];
  readonly #places: Places;
  readonly #dead: string;
  readonly #applications: Applications;
  readonly #log: AccessLog;
  #present = new Map<string, ConfigObject>();
  #number = 0;
  #outcomes: string[] = [];

  constructor(places: Places) {
    this.#places = places;
    this.#applications = places.applications;
    this.#dead = `127.0.0.1:${places.deadPort}`;
    this.#log = new AccessLog(places.logFile, logKey, isMirrored);
    const names = (wanted: boolean) =>
      [...places.entries].flatMap(([name, { opaque, outside }]) =>
        !outside && opaque === wanted ? [name] : [],
      );
    this.capturedEntries = [...places.entries].flatMap(([name, { outside }]) => (outside ? [name] : []));
    this.outside = places.outside;
    // What applications call in the mesh is asked most: it leads to both sides.
    const http = names(false);
    const inMesh = http.filter((name) => name.includes('.local:') && !name.startsWith('lazy '));
    this.entries = [...http, ...inMesh, ...inMesh];
    this.opaqueEntries = names(true);
    this.backends = places.backends;
    this.tlsPort = places.tlsPort;
    this.deadPort = places.deadPort;
    const maker = startTokenMaker();
    this.keys = maker.keys;
    this.tokens = randomTokens(maker, Math.floor(Date.now() / 1000));
  }

  async use(config: readonly ConfigObject[]): Promise<void> {
    const { mesh, explained } = this.#places;
    const next = new Map(config.flatMap(admitted).map((object) => [removableId(object), object]));
    const gone = [...this.#present.keys()].filter((id) => !next.has(id));
    mesh.apply([...next.values()].map((object) => stringify(object)).join('---\n'), gone);
    explained.use([...next.values()]);
    this.#present = next;
    await mesh.ledger.waitFor(mesh.engine.revision, { timeoutMs: 30_000 });
  }

  async compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>> {
    const situations = this.#situations();
    let open = requests.map((one, index) => ({ situation: situations(one), one, index }));
    this.#outcomes = [];
    const until = performance.now() + patienceMs;
    for (let isFirst = true; ; isFirst = false) {
      const seen = await this.#send(open);
      const differing = open.flatMap((entry, at) => {
        const observed = seen[at] as Observed;
        const why = differenceOf(entry.situation, observed) ?? this.#explanationDiffers(entry.one, observed);
        if (why === undefined) this.#note(entry.one, observed, isFirst);
        return why === undefined ? [] : [{ ...entry, why }];
      });
      // What was on the way when the request came is there a moment later.
      if (differing.length === 0 || performance.now() > until)
        return new Map(differing.map(({ index, why }) => [index, why]));
      open = differing;
      await sleep(100);
    }
  }

  #explanationDiffers(one: TrafficRequest, seen: Observed): string | undefined {
    const { tls, asking } = this.#entryOf(one);
    const whole = tls && one.certificate ? { ...asking, as: callerUri } : asking;
    const explanation = this.#places.explained.explain(one, tls, whole);
    const isOpaque = one.speaks === 'tcp' || one.speaks === 'tls';
    const isKnown = (socket: string) =>
      socket === '' ||
      this.#places.sidecars.has(socket) ||
      this.#applications.get(portOf(socket)) === (isOpaque ? 'bytes' : 'http');
    return explanation && explanationDifference(explanation, seen, whole, !isOpaque, isKnown);
  }

  #note({ speaks, entry }: TrafficRequest, { status, first, second }: Observed, isFirst: boolean): void {
    const isLazy = this.#places.entries.get(entry)?.like !== undefined;
    if (isLazy) this.#outcomes.push(`lazy ${status}`);
    if (this.#places.entries.get(entry)?.outside)
      this.#outcomes.push(...capturedOutcomes(status, first, second));
    if (!isFirst) this.#outcomes.push(isLazy ? 'lazy, asked again' : 'asked again');
    this.#outcomes.push(`${speaks ? `${speaks} ` : ''}${status}`);
    if (second) this.#outcomes.push(`${speaks ? `${speaks} ` : ''}both sides`);
    for (const [side, line] of [
      ['first', first],
      ['second', second],
    ] as const)
      for (const kind of ['rbac', 'jwt', 'ext_authz'])
        if (line?.details.startsWith(`${kind}_`)) this.#outcomes.push(`${kind} ${side}`);
  }

  #situations(): (one: TrafficRequest) => Situation {
    const { engine } = this.#places.mesh;
    const decoded = new Map<string, DecodedResources>();
    const resourcesOf = (proxyId: string): DecodedResources => {
      let found = decoded.get(proxyId);
      if (!found) {
        found = new DecodedResources(
          new Map(
            Object.values(typeUrls).map((typeUrl) => [typeUrl, new Map(engine.resources(proxyId, typeUrl))]),
          ),
        );
        decoded.set(proxyId, found);
      }
      return found;
    };
    const sidecars = new Map<string, Sidecar>();
    for (const [address, { proxyId, identity }] of this.#places.sidecars)
      sidecars.set(address, { resources: resourcesOf(proxyId), identity });
    return (one) => {
      const entry = this.#entryOf(one);
      const { identity, like, captured } = entry;
      const { proxyId, port } = like ?? entry;
      return {
        resources: resourcesOf(proxyId),
        call: callOf(one, { ...entry, port }),
        isLazy: like !== undefined,
        identity,
        sourceAddress: captured?.source ?? '127.0.0.1',
        sidecars,
        dead: this.#dead,
        applications: this.#applications,
      };
    };
  }

  #entryOf({ entry }: TrafficRequest): Entry {
    return this.#places.entries.get(entry) as Entry;
  }

  async #send(asked: readonly { one: TrafficRequest; situation: Situation }[]): Promise<Observed[]> {
    const first = this.#number;
    this.#number += asked.length;
    this.#log.forget();
    const clients = new Clients(this.#places.caller);
    const answers = await Promise.all(
      asked.map(({ one }, at) => clients.send(one, first + at, this.#entryOf(one))),
    );
    clients.close();
    const keys = asked.map(({ one, situation }, at) =>
      this.#firstKey(one, first + at, answers[at] as Answered, situation),
    );
    const isAnswered = (at: number) => answers[at]?.status !== 0;
    await this.#log.lines(present(keys.filter((_, at) => isAnswered(at))));
    const lines = await this.#log.linesWithin(present(keys), optionalMs);
    const firsts = keys.map((key) => logged(key === undefined ? undefined : lines.get(key)));
    const servers = firsts.map((line, at) => this.#secondKey(line, first + at));
    await this.#log.linesWithin(present(servers.filter((_, at) => isAnswered(at))), 2000);
    const more = await this.#log.linesWithin(present(servers), optionalMs);
    return answers.map(({ localPort: _, ...answer }, at) => {
      const key = servers[at];
      return { ...answer, first: firsts[at], second: logged(key === undefined ? undefined : more.get(key)) };
    });
  }

  /** Under what the line of the proxy that the request came to is found; undefined: it writes none. */
  #firstKey(
    one: TrafficRequest,
    number: number,
    { status, localPort }: Answered,
    situation: Situation,
  ): string | undefined {
    const { port } = this.#entryOf(one);
    if (one.speaks === 'tcp' || one.speaks === 'tls')
      return localPort === undefined ? undefined : connectionKey(localPort, port);
    return status !== 0 && isLogged(situation) ? requestKey(number, port) : undefined;
  }

  /** Of the server's own proxy, where the request got to one. */
  #secondKey(line: Observed['first'], number: number): string | undefined {
    if (!line || !this.#places.sidecars.has(line.upstream)) return undefined;
    // A server that does not take the connection writes nothing of the request.
    if (line.details.startsWith('upstream_reset_before_response_started')) return undefined;
    const port = line.upstream.slice(line.upstream.lastIndexOf(':') + 1);
    return line.status === '' || line.status === '0'
      ? connectionKey(line.upstreamLocalPort, port)
      : requestKey(number, port);
  }

  renewLazy(): Promise<void> {
    return this.#places.renewLazy();
  }

  outcomes(): readonly string[] {
    return this.#outcomes;
  }

  async refusals(): Promise<readonly string[]> {
    const counts = await Promise.all(this.#places.envoys.map((envoy) => rejectedUpdates(envoy)));
    return [
      ...this.#places.mesh.refusals,
      ...counts.filter((count) => count > 0).map((count) => `${count} rejected`),
    ];
  }

  stop(): Promise<void> {
    return this.#places.stop();
  }
}

function capturedOutcomes(status: number, first: Logged | undefined, second: Logged | undefined): string[] {
  return [
    `captured ${status}`,
    ...(second ? ['captured both sides'] : []),
    ...(first?.cluster === passthroughCluster ? [`passed through ${status}`] : []),
  ];
}

function callOf(one: TrafficRequest, { port, tls, captured }: Entry): Call {
  const { host, method, path, headers, sni = '', certificate, speaks } = one;
  const connection = captured
    ? ({ address: captured.address, port, mode: 'outbound', sourceAddress: captured.source } as const)
    : ({ address: '127.0.0.1', port, mode: 'direct', sourceAddress: '127.0.0.1' } as const);
  if (speaks === 'tcp') return { ...connection, protocol: 'tcp', tls: 'plaintext' };
  if (speaks === 'tls') return { ...connection, protocol: 'tcp', tls: 'tls', sni, alpn: [] };
  return {
    ...connection,
    protocol: speaks === 'http2' ? 'http2' : 'http',
    tls: !tls ? 'plaintext' : certificate ? 'mtls' : 'tls',
    ...(tls ? { sni, alpn: [speaks === 'http2' ? 'h2' : 'http/1.1'] } : {}),
    ...(tls && certificate ? { identity: callerUri } : {}),
    host,
    method,
    path,
    headers:
      headers['content-type'] === 'application/grpc' && speaks === 'http2'
        ? { ...headers, te: 'trailers' }
        : headers,
  };
}

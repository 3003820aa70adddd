import { mkdtemp, open, rm } from 'node:fs/promises';
import { Agent, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import { originId } from '../../src/config/origin.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import type { Call, SimulationResult } from '../../src/simulate/call.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { nodeId, type ProxySpec } from '../golden/mesh.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from './compiled-mesh.ts';
import type { TestEnvoy } from './envoy.ts';
import { type Echo, startEcho } from './http-echo.ts';
import { freePorts } from './ports.ts';
import { servicePorts, services, type TrafficRequest } from './traffic-arbitrary.ts';

/** What real Envoy did with a request: its answer, and its own words in the access log. */
interface Observed {
  readonly status: number;
  readonly location: string;
  readonly echo: (Echo & { port: number }) | undefined;
  readonly route: string;
  readonly cluster: string;
  readonly origin: string;
}

export interface Differential {
  /** Ports that endpoints of configurations may have. */
  readonly backends: readonly number[];
  /** Where requests may come in. */
  readonly entries: readonly string[];
  /** Puts a configuration in force in place of the last one. Objects that the admission refuses are left out. */
  use(config: readonly ConfigObject[]): Promise<void>;
  /** What simulator and Envoy disagree on, by place of the request; a disagreement that goes away by itself is none. */
  compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>>;
  /** The statuses that the last comparison saw. */
  outcomes(): readonly string[];
  /** Updates that Envoy refused. */
  refusals(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const logFormat = [
  '%REQ(X-NUMBER)%',
  '%RESPONSE_CODE%',
  '%ROUTE_NAME%',
  '%UPSTREAM_CLUSTER_RAW%',
  '%METADATA(ROUTE:ostria:origin)%',
].join('\t');

const kinds = createBuiltInRegistry();

function admitted(object: ConfigObject): ConfigObject[] {
  const [group = '', version = ''] = object.apiVersion.split('/');
  const known = kinds.byKind(group, object.kind);
  const found = known && kinds.byResource(group, version, known.plural);
  if (!found) return [];
  const verdict = admitSchema({ ...found, object, old: undefined });
  const issues = [...verdict.issues, ...(found.kind.validate?.(verdict.object) ?? [])];
  return issues.some(({ severity }) => severity === 'error') ? [] : [verdict.object];
}

interface Entry {
  readonly port: number;
  readonly proxyId: string;
  readonly absolute: boolean;
}

export async function startDifferential(): Promise<Differential> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-differential-'));
  const logFile = join(directory, 'access.log');
  const ports = await freePorts(4 + services.length * servicePorts.length + 1 + servicePorts.length);
  const backends = ports.splice(0, 4);
  const echoes = await Promise.all(backends.map((port) => startEcho(String(port), port)));
  const mesh = await startCompiledMesh('', {
    accessLogFile: logFile,
    accessLogFormat: logFormat,
    outboundTrafficPolicy: 'REGISTRY_ONLY',
  });
  const take = () => ports.shift() as number;
  const outbound: Record<string, number> = {};
  for (const { host } of services) for (const port of servicePorts) outbound[`${host}:${port}`] = take();
  const httpProxy = take();
  const gateway = Object.fromEntries(servicePorts.map((port) => [String(port), take()]));
  const client: ProxySpec = {
    name: 'client',
    namespace: 'shop',
    labels: { app: 'client' },
    metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy } },
  };
  const router: ProxySpec = {
    type: 'router',
    name: 'gateway',
    namespace: 'istio-system',
    labels: { istio: 'ingressgateway' },
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway } },
  };
  const envoys = [await mesh.envoy(client), await mesh.envoy(router)];
  const entries = new Map<string, Entry>();
  const add = (name: string, port: number, spec: ProxySpec, absolute = false): void => {
    entries.set(name, { port, proxyId: nodeId(spec), absolute });
  };
  for (const [target, port] of Object.entries(outbound)) add(target, port, client);
  add('forward proxy', httpProxy, client, true);
  for (const [port, local] of Object.entries(gateway)) add(`gateway:${port}`, local, router);
  return new Harness(mesh, envoys, echoes, entries, backends, directory, logFile);
}

class Harness implements Differential {
  readonly entries: readonly string[];
  readonly backends: readonly number[];
  readonly #mesh: CompiledMesh;
  readonly #envoys: readonly TestEnvoy[];
  readonly #echoes: readonly Server[];
  readonly #byName: ReadonlyMap<string, Entry>;
  readonly #directory: string;
  readonly #log: AccessLog;
  #present = new Map<string, ConfigObject>();
  #number = 0;
  #statuses: string[] = [];

  constructor(
    mesh: CompiledMesh,
    envoys: readonly TestEnvoy[],
    echoes: readonly Server[],
    byName: ReadonlyMap<string, Entry>,
    backends: readonly number[],
    directory: string,
    logFile: string,
  ) {
    this.#mesh = mesh;
    this.#envoys = envoys;
    this.#echoes = echoes;
    this.#byName = byName;
    this.#directory = directory;
    this.#log = new AccessLog(logFile);
    this.entries = [...byName.keys()];
    this.backends = backends;
  }

  async use(config: readonly ConfigObject[]): Promise<void> {
    const next = new Map(
      config.flatMap(admitted).map((object) => [`${object.kind}/${objectKey(object)}`, object]),
    );
    const gone = [...this.#present.keys()].filter((id) => !next.has(id));
    this.#mesh.apply([...next.values()].map((object) => stringify(object)).join('---\n'), gone);
    this.#present = next;
    await this.#mesh.ledger.waitFor(this.#mesh.engine.revision, { timeoutMs: 5000 });
  }

  async compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>> {
    const resources = new Map<string, DecodedResources>();
    for (const { proxyId } of this.#byName.values())
      if (!resources.has(proxyId)) resources.set(proxyId, this.#resources(proxyId));
    let open = requests.map((one, index) => ({ one, index }));
    this.#statuses = [];
    const until = performance.now() + patienceMs;
    for (;;) {
      const seen = await this.#send(open.map(({ one }) => one));
      const differing = open.flatMap(({ one, index }, at) => {
        const entry = this.#byName.get(one.entry) as Entry;
        const why = differenceOf(
          resources.get(entry.proxyId) as DecodedResources,
          callOf(one, entry),
          seen[at] as Observed,
        );
        if (why === undefined) this.#statuses.push(String(seen[at]?.status));
        return why === undefined ? [] : [{ one, index, why }];
      });
      // What was on the way when the request came is there a moment later.
      if (differing.length === 0 || performance.now() > until)
        return new Map(differing.map(({ index, why }) => [index, why]));
      open = differing;
      await sleep(100);
    }
  }

  #resources(proxyId: string): DecodedResources {
    const { engine } = this.#mesh;
    return new DecodedResources(
      new Map(Object.values(typeUrls).map((typeUrl) => [typeUrl, engine.resources(proxyId, typeUrl)])),
    );
  }

  async #send(requests: readonly TrafficRequest[]): Promise<Observed[]> {
    const first = this.#number;
    this.#number += requests.length;
    // Connections of an earlier configuration may be on their way out.
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const answers = await Promise.all(requests.map((one, at) => this.#sendOne(one, first + at, agent)));
    agent.destroy();
    const logged = answers.flatMap(({ status }, at) => (status === 0 ? [] : [first + at]));
    const lines = await this.#log.lines(logged);
    return answers.map((answer, at) => {
      const [, , route = '', cluster = '', origin = ''] = lines.get(first + at) ?? [];
      return { ...answer, route, cluster, origin };
    });
  }

  #sendOne(
    one: TrafficRequest,
    number: number,
    agent: Agent,
  ): Promise<Pick<Observed, 'status' | 'location' | 'echo'>> {
    const { port, absolute } = this.#byName.get(one.entry) as Entry;
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port,
          method: one.method,
          path: absolute ? `http://${one.host}${one.path}` : one.path,
          headers: { ...one.headers, host: one.host, 'x-number': String(number), 'content-length': '0' },
          agent,
        },
        (incoming) => {
          let body = '';
          incoming.on('data', (chunk) => {
            body += chunk;
          });
          incoming.on('end', () => {
            const echo = body.startsWith('{') ? (JSON.parse(body) as Echo) : undefined;
            resolve({
              status: incoming.statusCode ?? 0,
              location: incoming.headers.location ?? '',
              echo: echo && { ...echo, port: Number(echo.version) },
            });
          });
        },
      );
      // Nobody listens, which is an answer too.
      outgoing.on('error', (error: NodeJS.ErrnoException) =>
        ['ECONNREFUSED', 'ECONNRESET'].includes(error.code ?? '')
          ? resolve({ status: 0, location: '', echo: undefined })
          : reject(error),
      );
      outgoing.end();
    });
  }

  outcomes(): readonly string[] {
    return this.#statuses;
  }

  async refusals(): Promise<readonly string[]> {
    const counts = await Promise.all(this.#envoys.map(rejectedUpdates));
    return [
      ...this.#mesh.refusals,
      ...counts.filter((count) => count > 0).map((count) => `${count} rejected`),
    ];
  }

  async stop(): Promise<void> {
    await this.#mesh.stop();
    for (const echo of this.#echoes) echo.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Lines by request number; Envoy writes them a little later. */
class AccessLog {
  readonly #file: string;
  readonly #known = new Map<number, string[]>();
  #read = 0;
  #rest = '';

  constructor(file: string) {
    this.#file = file;
  }

  async lines(numbers: readonly number[]): Promise<ReadonlyMap<number, string[]>> {
    const until = performance.now() + 10_000;
    const missing = (): number | undefined => numbers.find((number) => !this.#known.has(number));
    while (missing() !== undefined) {
      if (performance.now() > until) throw new Error(`request ${missing()} is not in the access log`);
      await sleep(20);
      await this.#more();
    }
    return this.#known;
  }

  async #more(): Promise<void> {
    const file = await open(this.#file, 'r');
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(size - this.#read),
        0,
        size - this.#read,
        this.#read,
      );
      this.#read += bytesRead;
      const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) {
        const fields = line.split('\t');
        this.#known.set(Number(fields[0]), fields);
      }
    } finally {
      await file.close();
    }
  }
}

function callOf({ host, method, path, headers }: TrafficRequest, { port }: Entry): Call {
  return {
    address: '127.0.0.1',
    port,
    mode: 'direct',
    protocol: 'http',
    tls: 'plaintext',
    sourceAddress: '127.0.0.1',
    host,
    method,
    path,
    headers,
  };
}

/** Weights are a lottery: it is enough that some destination of positive weight is what was seen. */
function differenceOf(resources: DecodedResources, call: Call, seen: Observed): string | undefined {
  const expected = simulate(resources, call);
  const why = difference(expected, seen);
  const others = (expected.weightedClusters ?? []).filter(({ weight }) => weight > 0).length;
  for (let destination = 1; why !== undefined && destination < others; destination++)
    if (difference(simulate(resources, { ...call, destination }), seen) === undefined) return undefined;
  return why;
}

const absent = (text: string): string => (text === '-' ? '' : text);

/** In words; undefined: they agree. */
function difference(expected: SimulationResult, seen: Observed): string | undefined {
  const differs = (what: string, simulated: unknown, real: unknown): string | undefined =>
    simulated === real ? undefined : `${what}: simulated ${simulated}, real ${real}`;
  const step = expected.steps.findLast(({ stage }) => stage === 'route');
  const origin = step?.origin ? originId(step.origin) : '';
  const basic =
    differs('status', expected.error === 'no listener matched' ? 0 : (expected.status ?? 200), seen.status) ??
    differs('route', expected.route ?? '', absent(seen.route)) ??
    differs('origin', origin, absent(seen.origin)) ??
    (expected.redirect && differs('location', expected.redirect.location, seen.location));
  if (basic !== undefined || !expected.forwarded) return basic;
  const other = differs('cluster', expected.cluster, seen.cluster);
  if (other !== undefined) return other;
  return (
    differs('host at the destination', expected.forwarded.authority, seen.echo?.host) ??
    differs('path at the destination', expected.forwarded.path, seen.echo?.path) ??
    differs('endpoint', true, expected.endpoints?.includes(`127.0.0.1:${seen.echo?.port}`))
  );
}

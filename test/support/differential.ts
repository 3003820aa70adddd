import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request, type Server } from 'node:http';
import { createServer, Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import type { MeshConfig } from '../../src/registry/mesh-config.ts';
import type { Call } from '../../src/simulate/call.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { nodeId, type ProxySpec } from '../golden/mesh.ts';
import { AccessLog } from './access-log.ts';
import { type OpensslAuthority, opensslCertificate } from './authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from './compiled-mesh.ts';
import {
  differenceOf,
  isLogged,
  type Logged,
  type Observed,
  type Sidecar,
  type Situation,
} from './differential-compare.ts';
import {
  type Asking,
  ExplainedMesh,
  type ExplainedWorkload,
  explanationDifference,
} from './differential-explain.ts';
import type { TestEnvoy } from './envoy.ts';
import { apiGateway, apiPorts } from './gateway-api-arbitrary.ts';
import { type Echo, startEcho } from './http-echo.ts';
import { freePorts } from './ports.ts';
import { randomTokens } from './security-arbitrary.ts';
import { startTokenMaker } from './tokens.ts';
import { type Backend, servicePorts, services, type TrafficRequest } from './traffic-arbitrary.ts';

export interface Differential {
  /** Where endpoints of configurations may be. */
  readonly backends: readonly Backend[];
  /** Where a server ends TLS itself. */
  readonly tlsPort: number;
  /** Where requests may come in. */
  readonly entries: readonly string[];
  /** Keys and tokens of issuers. */
  readonly keys: string;
  readonly tokens: readonly string[];
  /** Puts a configuration in force in place of the last one. Objects that the admission refuses are left out. */
  use(config: readonly ConfigObject[]): Promise<void>;
  /** What simulator and Envoy disagree on, by place of the request; a disagreement that goes away by itself is none. */
  compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>>;
  /** What the last comparison saw: statuses, and who refused. */
  outcomes(): readonly string[];
  /** Updates that Envoy refused. */
  refusals(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Found by number and port; the rest are the fields of `Logged`, and the authority. */
const logFormat = [
  '%REQ(X-NUMBER)%',
  '%DOWNSTREAM_LOCAL_PORT%',
  '%RESPONSE_CODE%',
  '%ROUTE_NAME%',
  '%UPSTREAM_CLUSTER_RAW%',
  '%UPSTREAM_HOST%',
  '%RESPONSE_CODE_DETAILS%',
  '%METADATA(ROUTE:ostria:origin)%',
  '%REQ(:AUTHORITY)%',
].join('\t');

const kinds = createBuiltInRegistry();
const coreGroup = /^v\d/;

function groupOf({ apiVersion }: ConfigObject): string {
  return coreGroup.test(apiVersion) ? '' : (apiVersion.split('/')[0] ?? '');
}

function admitted(object: ConfigObject): ConfigObject[] {
  const group = groupOf(object);
  const version = object.apiVersion.split('/').at(-1) ?? '';
  const known = kinds.byKind(group, object.kind);
  const found = known && kinds.byResource(group, version, known.plural);
  if (!found) return [];
  const verdict = admitSchema({ ...found, object, old: undefined });
  const isFatal = ({ severity }: { readonly severity: string }) => severity === 'error';
  if (verdict.issues.some(isFatal)) return [];
  return (found.kind.validate?.(verdict.object) ?? []).some(isFatal) ? [] : [verdict.object];
}

/** As `CompiledMesh.apply` takes them away. Istio's kinds need no group, others of the same name do. */
function idOf(object: ConfigObject): string {
  const group = groupOf(object);
  const suffix = group === 'gateway.networking.k8s.io' ? `.${group}` : '';
  return `${object.kind}${suffix}/${objectKey(object)}`;
}

interface Entry {
  readonly port: number;
  readonly proxyId: string;
  readonly identity: string;
  readonly absolute: boolean;
  readonly tls: boolean;
  readonly asking: Asking;
}

const spiffe = (namespace: string, account: string) => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;

/** Servers with sidecars, as endpoints of the services of their namespaces. */
const servers = [
  { name: 'web-v1', namespace: 'shop', version: 'v1' },
  { name: 'web-v2', namespace: 'bank', version: 'v2' },
] as const;

export async function startDifferential(): Promise<Differential> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-differential-'));
  const logFile = join(directory, 'access.log');
  const needed = 2 + services.length * servicePorts.length + 1 + servicePorts.length + 1 + apiPorts.length;
  const ports = await freePorts(needed + servers.length * (1 + servicePorts.length));
  const take = () => ports.shift() as number;
  const plain = Array.from({ length: 2 }, take);
  const settings: Partial<MeshConfig> = {
    accessLogFile: logFile,
    accessLogFormat: logFormat,
    outboundTrafficPolicy: 'REGISTRY_ONLY',
    defaultMtlsMode: 'PERMISSIVE',
  };
  const mesh = await startCompiledMesh('', settings);
  const own = opensslCertificate({
    directory,
    name: 'front',
    issuer: mesh.authority,
    ca: false,
    names: ['front.example.com'],
  });
  const echoes: Server[] = await Promise.all(plain.map((port) => startEcho(String(port), port)));
  const tls = await startTlsEcho(own);
  const secret = frontSecret(own, mesh.authority);
  mesh.apply(secret);
  const outbound: Record<string, number> = {};
  for (const { host } of services) for (const port of servicePorts) outbound[`${host}:${port}`] = take();
  const httpProxy = take();
  const gatewayPorts = [...servicePorts, 443, ...apiPorts];
  const gateway = Object.fromEntries(gatewayPorts.map((port) => [String(port), take()]));
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
    labels: { istio: 'ingressgateway', 'gateway.networking.k8s.io/gateway-name': apiGateway },
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway } },
  };
  const workloads: ExplainedWorkload[] = [
    { spec: client, serviceAccount: 'client', address: '127.0.0.1', hasProxy: true },
    { spec: router, serviceAccount: 'gateway', address: '127.0.0.1', hasProxy: true },
    // The client, by the one way that names do not lead to: its forward proxy.
    {
      spec: {
        ...client,
        name: 'proxied',
        metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy } },
      },
      serviceAccount: 'client',
      address: '127.0.0.1',
      hasProxy: true,
    },
    {
      spec: { name: 'stranger', namespace: 'shop' },
      serviceAccount: 'default',
      address: '10.9.9.9',
      hasProxy: false,
    },
  ];
  const quick = { logFlushMs: 20 };
  const envoys = [
    await mesh.envoy(client, { serviceAccount: 'client', ...quick }),
    await mesh.envoy(router, { serviceAccount: 'gateway', ...quick }),
  ];
  const entries = new Map<string, Entry>();
  const add = (
    name: string,
    port: number,
    spec: ProxySpec,
    asking: Asking,
    more: Partial<Entry> = {},
  ): void => {
    const identity = spiffe(spec.namespace ?? '', spec.type === 'router' ? 'gateway' : (spec.name ?? ''));
    entries.set(name, {
      port,
      proxyId: nodeId(spec),
      identity,
      absolute: false,
      tls: false,
      asking,
      ...more,
    });
  };
  for (const [target, port] of Object.entries(outbound))
    add(target, port, client, { from: 'shop/client', base: () => `http://${target}` });
  const proxied = { from: 'shop/proxied', base: ({ host }: TrafficRequest) => `http://${host}` };
  add('forward proxy', httpProxy, client, proxied, { absolute: true });
  for (const [port, local] of Object.entries(gateway)) {
    const tls = port === '443' || port === '444';
    // A client that names no server calls an address.
    const base = ({ sni = '' }: TrafficRequest) =>
      tls ? `https://${sni === '' ? '127.0.0.1' : sni}:${port}` : `http://front.test:${port}`;
    add(`gateway:${port}`, local, router, { from: 'istio-system/gateway', base }, { tls });
  }
  const backends: Backend[] = plain.map((port, index) => ({
    version: index === 0 ? 'v1' : 'v2',
    ports: { 80: port, 8080: port },
  }));
  const sidecars = new Map<string, { proxyId: string; identity: string }>();
  for (const { name, namespace, version } of servers) {
    const app = take();
    const listen = Object.fromEntries(servicePorts.map((port) => [port, take()]));
    echoes.push(await startEcho(String(app), app));
    const spec: ProxySpec = {
      name,
      namespace,
      labels: { app: 'web', version },
      metadata: {
        OSTRIA_CAPTURE: {
          outbound: {},
          inbound: servicePorts.map((servicePort) => ({
            servicePort,
            listen: listen[servicePort],
            app,
            protocol: 'http',
          })),
          httpProxy: 0,
        },
      },
    };
    envoys.push(await mesh.envoy(spec, { serviceAccount: 'web', ...quick }));
    backends.push({ version, ports: listen, sidecar: namespace });
    for (const port of servicePorts)
      sidecars.set(`127.0.0.1:${listen[port]}`, {
        proxyId: nodeId(spec),
        identity: spiffe(namespace, 'web'),
      });
    const base = () => `http://127.0.0.1:${listen[80]}`;
    add(`${name}:80`, listen[80] as number, spec, { from: 'shop/stranger', base, atServer: true });
    workloads.push({ spec, serviceAccount: 'web', address: '127.0.0.1', hasProxy: true });
  }
  const explained = new ExplainedMesh(settings, workloads, [secret]);
  const maker = startTokenMaker();
  const places = { backends, tlsPort: tls.port, entries, sidecars };
  const issuer = { keys: maker.keys, tokens: randomTokens(maker, Math.floor(Date.now() / 1000)) };
  const caller = opensslCertificate({
    directory,
    name: 'caller',
    issuer: mesh.authority,
    ca: false,
    names: [callerUri],
  });
  return new Harness(
    mesh,
    explained,
    envoys,
    [...echoes, tls.server],
    places,
    issuer,
    caller,
    directory,
    logFile,
  );
}

/** What a client of a gateway proves, where it proves anything. */
const callerUri = 'spiffe://cluster.local/ns/outside/sa/caller';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** The gateways' certificate, and whose certificates they take. */
function frontSecret({ certificate, key }: OpensslAuthority, authority: OpensslAuthority): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'front', namespace: 'istio-system' },
    data: {
      'tls.crt': base64(certificate),
      'tls.key': base64(key),
      'ca.crt': base64(authority.certificate),
    },
  });
}

/** An application that ends TLS itself. */
async function startTlsEcho({
  certificate,
  key,
}: OpensslAuthority): Promise<{ server: Server; port: number }> {
  const server = createServer({ keepAliveTimeout: 0, cert: certificate, key }, (incoming, response) => {
    const { url: path = '', method, httpVersion, headers } = incoming;
    const port = (server.address() as { port: number }).port;
    response.end(
      JSON.stringify({ version: String(port), method, host: headers.host, path, httpVersion, headers }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port };
}

interface Places {
  readonly backends: readonly Backend[];
  readonly tlsPort: number;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly sidecars: ReadonlyMap<string, { readonly proxyId: string; readonly identity: string }>;
}

type Answered = Pick<Observed, 'status' | 'location' | 'grpcStatus' | 'echo'>;

class Harness implements Differential {
  readonly entries: readonly string[];
  readonly backends: readonly Backend[];
  readonly tlsPort: number;
  readonly keys: string;
  readonly tokens: readonly string[];
  readonly #mesh: CompiledMesh;
  readonly #explained: ExplainedMesh;
  readonly #envoys: readonly TestEnvoy[];
  readonly #echoes: readonly Server[];
  readonly #places: Places;
  readonly #caller: OpensslAuthority;
  readonly #directory: string;
  readonly #log: AccessLog;
  #present = new Map<string, ConfigObject>();
  #number = 0;
  #outcomes: string[] = [];

  constructor(
    mesh: CompiledMesh,
    explained: ExplainedMesh,
    envoys: readonly TestEnvoy[],
    echoes: readonly Server[],
    places: Places,
    issuer: { readonly keys: string; readonly tokens: readonly string[] },
    caller: OpensslAuthority,
    directory: string,
    logFile: string,
  ) {
    this.#mesh = mesh;
    this.#explained = explained;
    this.#envoys = envoys;
    this.#echoes = echoes;
    this.#places = places;
    this.#caller = caller;
    this.#directory = directory;
    // Mirrored requests have the number of what they mirror.
    this.#log = new AccessLog(logFile, 2, (fields) => /-shadow(:\d+)?$/.test(fields.at(-1) ?? ''));
    // What applications call in the mesh is asked most: it leads to both sides.
    const names = [...places.entries.keys()];
    const inMesh = names.filter((name) => name.includes('.local:'));
    this.entries = [...names, ...inMesh, ...inMesh];
    this.backends = places.backends;
    this.tlsPort = places.tlsPort;
    this.keys = issuer.keys;
    this.tokens = issuer.tokens;
  }

  async use(config: readonly ConfigObject[]): Promise<void> {
    const next = new Map(config.flatMap(admitted).map((object) => [idOf(object), object]));
    const gone = [...this.#present.keys()].filter((id) => !next.has(id));
    this.#mesh.apply([...next.values()].map((object) => stringify(object)).join('---\n'), gone);
    this.#explained.use([...next.values()]);
    this.#present = next;
    await this.#mesh.ledger.waitFor(this.#mesh.engine.revision, { timeoutMs: 30_000 });
  }

  async compare(requests: readonly TrafficRequest[], patienceMs: number): Promise<Map<number, string>> {
    const situations = this.#situations();
    let open = requests.map((one, index) => ({ situation: situations(one), one, index }));
    this.#outcomes = [];
    const until = performance.now() + patienceMs;
    for (;;) {
      const seen = await this.#send(open);
      const differing = open.flatMap((entry, at) => {
        const observed = seen[at] as Observed;
        const why = differenceOf(entry.situation, observed) ?? this.#explanationDiffers(entry.one, observed);
        if (why === undefined) this.#note(seen[at] as Observed);
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
    return explanationDifference(this.#explained.explain(one, whole), seen, whole);
  }

  #note({ status, first, second }: Observed): void {
    this.#outcomes.push(String(status));
    if (second) this.#outcomes.push('both sides');
    for (const [side, line] of [
      ['first', first],
      ['second', second],
    ] as const)
      for (const kind of ['rbac', 'jwt'])
        if (line?.details.startsWith(`${kind}_`)) this.#outcomes.push(`${kind} ${side}`);
  }

  #situations(): (one: TrafficRequest) => Situation {
    const { engine } = this.#mesh;
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
      const { proxyId, identity } = entry;
      return { resources: resourcesOf(proxyId), call: callOf(one, entry), identity, sidecars };
    };
  }

  #entryOf({ entry }: TrafficRequest): Entry {
    return this.#places.entries.get(entry) as Entry;
  }

  async #send(asked: readonly { one: TrafficRequest; situation: Situation }[]): Promise<Observed[]> {
    const first = this.#number;
    this.#number += asked.length;
    // Connections of an earlier configuration may be on their way out.
    const agents = {
      plain: new Agent({ keepAlive: true, maxSockets: 8 }),
      tls: new TlsAgent({ keepAlive: true, maxSockets: 2 }),
    };
    const answers = await Promise.all(asked.map(({ one }, at) => this.#sendOne(one, first + at, agents)));
    agents.plain.destroy();
    agents.tls.destroy();
    const keyOf = (at: number, port: number | string) => `${first + at} ${port}`;
    const own = asked.map(({ one, situation }, at) =>
      answers[at]?.status !== 0 && isLogged(situation) ? keyOf(at, this.#entryOf(one).port) : undefined,
    );
    const lines = await this.#log.lines(own.filter((key) => key !== undefined));
    const firsts = own.map((key) => logged(key === undefined ? undefined : lines.get(key)));
    const servers = firsts.map((line, at) =>
      line && this.#places.sidecars.has(line.upstream) && line.status !== '503'
        ? keyOf(at, line.upstream.slice(line.upstream.lastIndexOf(':') + 1))
        : undefined,
    );
    // A server that sees no HTTP, or closes the connection, writes nothing that could be found.
    const more = await this.#log.linesWithin(
      servers.filter((key) => key !== undefined),
      2000,
    );
    return answers.map((answer, at) => {
      const key = servers[at];
      return { ...answer, first: firsts[at], second: logged(key === undefined ? undefined : more.get(key)) };
    });
  }

  #sendOne(
    one: TrafficRequest,
    number: number,
    agents: { readonly plain: Agent; readonly tls: TlsAgent },
  ): Promise<Answered> {
    const { port, absolute, tls } = this.#entryOf(one);
    const secured = {
      servername: one.sni ?? '',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      ...(one.certificate ? { cert: this.#caller.certificate, key: this.#caller.key } : {}),
    };
    return new Promise((resolve) => {
      const outgoing = (tls ? tlsRequest : request)(
        {
          host: '127.0.0.1',
          port,
          method: one.method,
          path: absolute ? `http://${one.host}${one.path}` : one.path,
          headers: { ...one.headers, host: one.host, 'x-number': String(number), 'content-length': '0' },
          ...(tls ? { ...secured, agent: agents.tls } : { agent: agents.plain }),
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
              grpcStatus: String(incoming.headers['grpc-status'] ?? ''),
              echo: echo && { ...echo, port: Number(echo.version) },
            });
          });
        },
      );
      // Nobody listens, or not to the likes of us, which is an answer too.
      outgoing.on('error', () => resolve({ status: 0, location: '', grpcStatus: '', echo: undefined }));
      outgoing.end();
    });
  }

  outcomes(): readonly string[] {
    return this.#outcomes;
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

const absent = (text = ''): string => (text === '-' ? '' : text);

function logged(fields: readonly string[] | undefined): Logged | undefined {
  if (!fields) return undefined;
  const [, , status, route, cluster, upstream, details, origin] = fields;
  return {
    status: absent(status),
    route: absent(route),
    cluster: absent(cluster),
    upstream: absent(upstream),
    details: absent(details),
    origin: absent(origin),
  };
}

function callOf(one: TrafficRequest, { port, tls }: Entry): Call {
  const { host, method, path, headers, sni = '', certificate } = one;
  return {
    address: '127.0.0.1',
    port,
    mode: 'direct',
    protocol: 'http',
    tls: !tls ? 'plaintext' : certificate ? 'mtls' : 'tls',
    ...(tls ? { sni, alpn: ['http/1.1'] } : {}),
    ...(tls && certificate ? { identity: callerUri } : {}),
    sourceAddress: '127.0.0.1',
    host,
    method,
    path,
    headers,
  };
}

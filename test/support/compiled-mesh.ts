import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localCluster } from '../../src/agent/envoy-bootstrap.ts';
import type { Secret } from '../../src/agent/sds-messages.ts';
import { startSdsServer } from '../../src/agent/sds-server.ts';
import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import { worldKind } from '../../src/config/world-kind.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { LazyMemory } from '../../src/control-plane/lazy-memory.ts';
import { type DemandPush, lazySource } from '../../src/control-plane/lazy-source.ts';
import { adsBootstrap } from '../../src/kit/ads-bootstrap.ts';
import { silentLog } from '../../src/kit/silent-log.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { Registry } from '../../src/registry/registry.ts';
import { createEngine, type Engine } from '../../src/snapshot/engine/engine.ts';
import type { ResourceSource } from '../../src/snapshot/push.ts';
import type { Collection } from '../../src/snapshot/query.ts';
import type { Resource } from '../../src/snapshot/resource.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';
import { createLedger, type Ledger } from '../../src/xds/ledger.ts';
import { createXdsServer, type XdsServer } from '../../src/xds/server.ts';
import { nodeId, nodeMetadata, type ProxySpec } from '../golden/mesh.ts';
import { type OpensslAuthority, openssl, opensslCertificate } from './authority.ts';
import { startEnvoy, type TestEnvoy } from './envoy.ts';

/** An xDS server over a source of resources, and real Envoys with real workload certificates that ask it. */
export interface MeshEnvoys {
  readonly ledger: Ledger;
  /** Whom every workload trusts. */
  readonly authority: OpensslAuthority;
  /** What proxies refused, with their words. */
  readonly refusals: readonly string[];
  envoy(spec: ProxySpec, options?: MeshEnvoyOptions): Promise<TestEnvoy>;
  /** The control plane is gone. */
  goDown(): Promise<void>;
  /** It is back, on the same port, over the same source or another one. */
  comeBack(source?: ResourceSource): Promise<void>;
  stop(): Promise<void>;
}

export interface MeshEnvoyOptions {
  /** Default true; false: state of the world. */
  readonly delta?: boolean;
  /** Default `default`. */
  readonly serviceAccount?: string;
  /** A command that runs Envoy elsewhere: in a network namespace, which reaches the xDS server by a unix socket. */
  readonly prefix?: readonly string[];
  /** Top-level fields of the bootstrap that are added or replaced. */
  readonly bootstrap?: Record<string, unknown>;
  /** As `TestEnvoyOptions`. */
  readonly logFlushMs?: number;
  readonly timeoutMs?: number;
}

/** A mesh compiled from YAML and served to Envoys. */
export interface CompiledMesh extends MeshEnvoys {
  readonly engine: Engine;
  /** Objects that come or change; those of `remove` (`Kind/namespace/name`, or `Kind.group/…`) go. Pushed when this returns. */
  apply(yaml: string, remove?: readonly string[]): void;
  /** Changes of the world as such, likewise. */
  change(changes: readonly WorldChange[]): void;
}

export async function startMeshEnvoys(source: ResourceSource): Promise<MeshEnvoys> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-mesh-'));
  const ledger = createLedger();
  const refusals: string[] = [];
  ledger.onRejected((event) => refusals.push(JSON.stringify(event)));
  const serve = async (from: ResourceSource, port: number): Promise<XdsServer> => {
    const made = createXdsServer({
      source: from,
      ledger,
      authenticate: () => ({ ok: true, identity: undefined }),
      listeners: [{ name: 'plaintext', host: '127.0.0.1', port }],
      limits: { removalGraceMs: 150 },
      log: silentLog,
    });
    await made.start();
    return made;
  };
  let server = await serve(source, 0);
  const xdsPort = [...server.ports.values()][0] ?? 0;
  const authority = opensslCertificate({ directory, name: 'root' });
  const stops: (() => Promise<unknown>)[] = [() => server.stop()];
  // By identity: workloads that have the same one share a certificate, as making one takes five programs.
  const secrets = new Map<string, Secret[]>();
  const secretsOf = (namespace: string, serviceAccount: string): Secret[] => {
    const identity = `${namespace}/${serviceAccount}`;
    const made = secrets.get(identity) ?? workloadSecrets(directory, authority, namespace, serviceAccount);
    secrets.set(identity, made);
    return made;
  };
  return {
    ledger,
    authority,
    refusals,
    async envoy(spec, options = {}) {
      // A path of a unix socket has room for a hundred characters.
      const id = `${`${spec.namespace ?? 'default'}-${spec.name ?? 'client'}`.slice(0, 40)}-${stops.length}`;
      const socket = join(directory, `${id}.sock`);
      const sds = await startSdsServer(socket, silentLog);
      sds.set(secretsOf(spec.namespace ?? 'default', options.serviceAccount ?? 'default'));
      stops.unshift(() => sds.close());
      const relay = options.prefix ? await startRelay(join(directory, `${id}-xds.sock`), xdsPort) : undefined;
      if (relay) stops.unshift(() => relay.close());
      const envoy = await startEnvoy({
        bootstrap: {
          ...bootstrap(spec, relay?.path ?? xdsPort, socket, options.delta ?? true),
          ...options.bootstrap,
        },
        ...(options.prefix ? { prefix: options.prefix } : {}),
        until: 'live',
        ...(options.logFlushMs === undefined ? {} : { logFlushMs: options.logFlushMs }),
        ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      });
      stops.unshift(() => envoy.stop());
      return envoy;
    },
    goDown: () => server.stop(0),
    async comeBack(from = source) {
      server = await serve(from, xdsPort);
    },
    async stop() {
      for (const stop of stops) await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function startCompiledMesh(
  yaml: string,
  mesh: Partial<MeshConfig> = {},
  options: { readonly collections?: readonly Collection<Resource>[]; readonly memory?: LazyMemory } = {},
): Promise<CompiledMesh> {
  const settings = { ...defaultMeshConfig, ...mesh };
  const engine = createEngine({ roots: options.collections ?? roots.collections });
  const registry = new Registry({ mesh: settings });
  engine.setMesh(settings);
  let revision = 0;
  const failures: unknown[] = [];
  engine.onFailures((found) => failures.push(...found));
  const apply: CompiledMesh['apply'] = (text, remove = []) => {
    const { objects, problems } = parseYamlDocuments(text, 'test.yaml');
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    const changes = objects.map(({ object }) => ({
      group: object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '',
      kind: object.kind,
      ...placed(object),
    }));
    const gone = remove.map((id) => {
      const [written = '', namespace, name] = id.split('/');
      const dot = written.indexOf('.');
      const kind = dot < 0 ? written : written.slice(0, dot);
      const implied = kind === 'ServiceEntry' || kind === 'WorkloadEntry' ? 'networking.istio.io' : '';
      return { group: dot < 0 ? implied : written.slice(dot + 1), kind, key: `${namespace}/${name}` };
    });
    engine.apply(
      changes.map(({ group, kind, key, object }) => ({ kind: worldKind(group, kind), key, value: object })),
    );
    engine.apply(
      gone.map(({ group, kind, key }) => ({ kind: worldKind(group, kind), key, value: undefined })),
    );
    engine.apply(registry.apply([...changes, ...gone]), ++revision);
    engine.flush();
    if (failures.length > 0) throw new Error(`the compile failed: ${JSON.stringify(failures, describe)}`);
  };
  apply(yaml);
  const memory = options.memory ?? new LazyMemory({ warn: () => undefined });
  const source = lazySource(engine, memory, pushingAtOnce(engine));
  engine.flush();
  const change: CompiledMesh['change'] = (changes) => {
    engine.apply(changes, ++revision);
    engine.flush();
  };
  return { engine, apply, change, ...(await startMeshEnvoys(source)) };
}

/** Pushes what lazy sidecars ask for as soon as they do. */
export function pushingAtOnce(engine: Engine): DemandPush {
  return {
    isIdle: true,
    async push(change) {
      change();
      engine.flush();
    },
  };
}

/** Objects without a namespace belong to `default`, unless their kind has none. */
function placed(object: ConfigObject): { key: string; object: ConfigObject } {
  const clusterScoped = object.kind === 'Namespace' || object.kind === 'GatewayClass';
  const metadata = clusterScoped ? object.metadata : { namespace: 'default', ...object.metadata };
  const moved = { ...object, metadata };
  return { key: objectKey(moved), object: moved };
}

function describe(_key: string, value: unknown): unknown {
  if (value instanceof Error) return value.stack;
  return value instanceof Set ? [...value] : value;
}

/** The secrets that an agent would hold: a certificate with the workload's identity, and the trust bundle. */
function workloadSecrets(
  directory: string,
  authority: OpensslAuthority,
  namespace: string,
  serviceAccount: string,
): Secret[] {
  const file = (suffix: string) => join(directory, `${namespace}-${serviceAccount}${suffix}`);
  writeFileSync(file('.ca.pem'), authority.certificate);
  writeFileSync(file('.ca.key'), authority.key, { mode: 0o600 });
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('.key')]);
  openssl(['req', '-new', '-key', file('.key'), '-subj', '/O=test', '-out', file('.csr')]);
  writeFileSync(
    file('.ext'),
    `subjectAltName=critical,URI:spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n`,
  );
  openssl([
    ...['x509', '-req', '-in', file('.csr'), '-CA', file('.ca.pem'), '-CAkey', file('.ca.key')],
    ...['-days', '2', '-extfile', file('.ext'), '-out', file('.pem')],
  ]);
  return [
    {
      name: 'default',
      certificateChain: readFileSync(file('.pem'), 'utf8'),
      key: readFileSync(file('.key'), 'utf8'),
    },
    { name: 'ROOTCA', trustedRoots: authority.certificate },
  ];
}

/** A unix socket that leads to a port of this machine: network namespaces share files, not ports. */
async function startRelay(path: string, port: number): Promise<{ path: string; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const relay = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => relay.listen(path, resolve));
  const close = async (): Promise<void> => {
    relay.close();
    for (const socket of open) socket.destroy();
  };
  return { path, close };
}

function bootstrap(
  spec: ProxySpec,
  xds: number | string,
  sdsSocket: string,
  delta: boolean,
): Record<string, unknown> {
  const { locality } = spec;
  const node = {
    id: nodeId(spec),
    cluster: spec.name ?? 'client',
    metadata: nodeMetadata(spec),
    ...(locality
      ? {
          locality: {
            region: locality.region ?? '',
            zone: locality.zone ?? '',
            sub_zone: locality.subZone ?? '',
          },
        }
      : {}),
  };
  const made: Record<string, unknown> = {
    ...adsBootstrap({ node, xds, sdsSocket, delta }),
    stats_flush_interval: '1s',
  };
  if (spec.metadata?.ENABLE_SELF_DISCOVERY !== 'true') return made;
  const { clusters } = made.static_resources as { clusters: object[] };
  return {
    ...made,
    static_resources: { clusters: [...clusters, localCluster] },
    cluster_manager: { local_cluster_name: localCluster.name },
  };
}

/** Updates that Envoy refused so far, of every kind but for the statistics that match `except`. */
export async function rejectedUpdates(envoy: TestEnvoy, except?: RegExp): Promise<number> {
  const { body } = await envoy.admin('/stats?filter=update_rejected');
  const lines = body.split('\n').filter((line) => !except?.test(line));
  return lines.reduce((sum, line) => sum + Number(/: (\d+)$/.exec(line)?.[1] ?? 0), 0);
}

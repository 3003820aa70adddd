import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import type { KindRegistry } from '../config/kind.ts';
import { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import { splitKey } from '../config/object.ts';
import { DirectorySource } from '../config/sources/directory-source.ts';
import type { ConfigSource } from '../config/sources/source.ts';
import { formatProblem } from '../config/sources/source-problem.ts';
import { StoreSource } from '../config/sources/store-source.ts';
import type { Store } from '../config/store/store.ts';
import { seenClock } from '../kit/seen-clock.ts';
import { parseMeshSettings } from '../model/mesh-settings.ts';
import { roots } from '../pipeline/roots.ts';
import { defaultMeshConfig, type MeshConfig, overlayMeshConfig } from '../registry/mesh-config.ts';
import type { HostAddress } from '../registry/virtual-ips.ts';
import { createEngine, type Engine } from '../snapshot/engine/engine.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import { createLedger, type Ledger } from '../xds/ledger.ts';
import { createXdsServer, type XdsListener, type XdsServer } from '../xds/server.ts';
import { admissionWarnings } from './admission-warnings.ts';
import { createAdmitObject } from './admit-object.ts';
import { AutoRegistration } from './auto-registration.ts';
import { openStore, startConfigApi } from './config-api.ts';
import { createDebug, type Debug } from './debug/create-debug.ts';
import { publishIstiodPod, publishMeshSettings } from './debug/istiod-pod.ts';
import { workloadActions, workloadPaths } from './debug/workload-paths.ts';
import { controlActions, debugPaths } from './debug-paths.ts';
import { Delivery } from './delivery/delivery.ts';
import { FlushLog } from './delivery/flush-log.ts';
import { RevisionBook } from './delivery/revision-book.ts';
import { FilterQuarantine } from './filter-quarantine.ts';
import { Flusher } from './flusher.ts';
import { Deletions } from './history/deletions.ts';
import { historyPaths } from './history/history-paths.ts';
import { keepHistory } from './history/keep-history.ts';
import { keepTrustDomain } from './home-trust-domain.ts';
import { type IdentityService, openIdentityService } from './identity-service.ts';
import { KeyKeeper } from './keys/key-keeper.ts';
import { LazyMemory } from './lazy-memory.ts';
import { lazySource } from './lazy-source.ts';
import type { Logger } from './log.ts';
import { type CompileTarget, MeshState } from './mesh-state.ts';
import { createMonitoring, type Monitoring } from './monitoring.ts';
import { NameChecks } from './name-checks.ts';
import type { ControlPlaneOptions } from './options.ts';
import { refOfOrigin } from './origin-ref.ts';
import { PatchReporter } from './patch-reporter.ts';
import { ProblemReporter } from './problem-reporter.ts';
import { serveRegistration, withRegistration } from './registration-server.ts';
import { rolloutActions } from './rollout/rollout-paths.ts';
import { Rollouts } from './rollout/rollouts.ts';
import { describeFailure, StatusReporter } from './status-reporter.ts';
import { StatusWriter } from './status-writer.ts';
import { TrustDomains } from './trust/trust-domains.ts';
import { ostriaVersion } from './version.ts';

export interface ControlPlane {
  readonly engine: Engine;
  readonly ledger: Ledger;
  /** Ports by server: `xds`, `insecure-xds`, `api`, `monitoring`. */
  readonly ports: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** How often unused results of the compile are looked for on an idle mesh, in ms. */
const collectEveryMs = 30_000;

/** How long proxies wait for the first keys of tokens, in ms: without them valid tokens would be refused. */
const firstKeysMs = 5_000;

/** Starts everything, in this order: compile, identity, sources, xDS, API, monitoring. Throws what the first failing part throws. */
export async function startControlPlane(options: ControlPlaneOptions, log: Logger): Promise<ControlPlane> {
  const stops: (() => void | Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    return await start(options, log, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  options: ControlPlaneOptions,
  log: Logger,
  stops: (() => void | Promise<void>)[],
  stop: () => Promise<void>,
): Promise<ControlPlane> {
  const kinds = createBuiltInRegistry();
  const flushes = new FlushLog();
  // One clock for those who say how long a change is held, and for who holds it.
  const holdClock = seenClock();
  const { engine, flusher } = startCompile(flushes, log, stops, holdClock);
  const mesh = meshOf(options);
  const ending = new AbortController();
  stops.push(() => ending.abort());

  const identity = await openIdentity(options, mesh, log, stops);
  const ledger = createLedger();
  const parts = [
    'configuration',
    ...(options.xds || options.insecureXds ? ['xds'] : []),
    ...(options.api ? ['api'] : []),
  ];
  const monitoring = createMonitoring(engine, parts, identity?.ring);

  const store = await openStore(options);
  if (store) stops.push(() => store.close());
  const status = store && reportStatus(store, kinds, ledger, log);
  if (status) stops.push(() => status.stop());

  const compiles: CompileTarget[] = status ? [engine, status.problems] : [engine];
  const keys = await keepKeys(options, compiles, flusher, log);
  stops.push(() => keys.close());
  const revisions = new RevisionBook();
  let rollouts: Rollouts | undefined;
  const deletions = new Deletions();
  const history = keepHistory(options, () => state.merge.all(), deletions, log);
  if (history) stops.push(() => history.close());
  const trust = identity && (await followTrustDomains(options, identity, log));
  if (trust) stops.push(() => trust.close());
  const state: MeshState = new MeshState({
    sources: ['files', 'store'],
    mesh,
    targets: [...compiles, keys, ...(trust ? [trust] : []), ...(identity ? [aliasTarget(identity)] : [])],
    keepTrustDomain: identity !== undefined,
    parseMesh: parseMeshSettings,
    onProblem: (message) => log.warn(message),
    onMerged(source, changes) {
      history?.record(source, changes);
      rollouts?.observe(changes);
    },
    onTaken(source, sourceRevision, revision) {
      if (source === 'store') revisions.note(sourceRevision, revision);
    },
    now: holdClock,
    ...(status ? { onVirtualIps: status.virtualIps } : {}),
  });
  const quarantine = new FilterQuarantine({
    apply(changes) {
      state.note(changes);
      flusher.request(state.holdUntil);
    },
    compile: engine,
    settled: () => flusher.settled(),
    log,
  });
  stops.push(quarantine.follow(ledger));
  const patchReports =
    status &&
    new PatchReporter({
      kinds,
      writer: status.writer,
      compile: engine,
      rootNamespace: () => state.mesh.rootNamespace,
    });
  if (patchReports) stops.push(() => patchReports.close());
  const startSource = (name: string, source: ConfigSource): Promise<void> =>
    source.start((batch) => {
      state.take(name, batch);
      quarantine.observe(batch.changes);
      patchReports?.observe(batch.changes);
      flusher.request(state.holdUntil);
      void status?.problems.observe(batch.changes);
      status?.names.observe(batch.changes);
      status?.refusals.observe(batch.changes);
    }, ending.signal);

  const ready: Promise<void>[] = [];
  if (options.config !== undefined)
    ready.push(startSource('files', directorySource(options.config, kinds, log)));
  if (store) ready.push(startSource('store', storeSource(store, log)));

  await Promise.all(ready);
  void history?.start();
  await keys.settled(firstKeysMs);
  await flusher.settled();
  monitoring.setReady('configuration');

  const source = followLazily(options, engine, flusher, log, stops);
  await flusher.soon();
  const registration =
    store && status
      ? new AutoRegistration({
          store,
          writer: status.writer,
          group: (key) => state.merge.get('networking.istio.io', 'WorkloadGroup', key),
          log,
          alone: options.store === 'embedded',
        })
      : undefined;
  if (registration) stops.push(() => registration.close());
  const debug = createDebug({ options, engine, source, ledger, state, identity, monitoring, log });
  const xds = await startXds(options, { source, ledger, identity, monitoring, registration, debug, log });
  if (xds) stops.push(() => xds.stop());
  const ports = new Map<string, number>();
  if (xds) {
    for (const [name, port] of xds.ports) ports.set(name === 'tls' ? 'xds' : 'insecure-xds', port);
    monitoring.setReady('xds');
  }
  if (store && hasApi(options)) {
    const delivery = new Delivery({ ledger, flushes, revisions, engine });
    stops.push(delivery.follow());
    const hasTaken = (revision: number): boolean => revisions.meshRevisionOf(revision) !== undefined;
    const trials = new Rollouts({ engine, flusher, state, delivery, kinds, hasTaken, log });
    rollouts = trials;
    stops.push(() => trials.close());
    const workloads = {
      workloads: options.workloads,
      proxies: () => engine.proxies,
      rootNamespace: () => state.mesh.rootNamespace,
    };
    const api = await startConfigApi(options, {
      store,
      kinds,
      log,
      release: ostriaVersion(),
      checks: {},
      paths: {
        ...debugPaths({
          ledger,
          engine,
          state,
          delivery,
          ring: identity?.ring,
          pages: debug.pages,
          kinds,
          listeners: listenersOf(options),
        }),
        ...(history ? historyPaths(history) : {}),
        ...workloadPaths(workloads),
      },
      actions: {
        ...controlActions(identity?.ring),
        ...rolloutActions(trials),
        ...workloadActions(workloads),
      },
      hooks: [
        deletions.hook,
        ...(identity ? [keepTrustDomain(mesh, parseMeshSettings)] : []),
        admissionWarnings({
          world: engine.world,
          isCurrent: async () =>
            !engine.pending && revisions.meshRevisionOf(await store.revision()) !== undefined,
          now: Date.now,
        }),
      ],
      connectToPod: debug.connectToPod(ports.get('xds')),
    });
    // Several control planes over one etcd would write one pod: they are found by their addresses.
    if (options.store === 'embedded') {
      await publishIstiodPod(store, ostriaVersion());
      await publishMeshSettings(store);
    }
    stops.push(() => api.close());
    identity?.useAccountTokens(api.tokens);
    ports.set('api', api.port);
    monitoring.setReady('api');
  }
  if (options.monitoring) {
    await monitoring.start(options.monitoring);
    ports.set('monitoring', monitoring.port());
    stops.push(() => monitoring.stop());
  }
  return { engine, ledger, ports, stop };
}

type WithApi = ControlPlaneOptions & Required<Pick<ControlPlaneOptions, 'api' | 'state'>>;

function hasApi(options: ControlPlaneOptions): options is WithApi {
  return options.api !== undefined && options.state !== undefined;
}

function storeSource(store: Store, log: Logger): StoreSource {
  return new StoreSource({
    store,
    onProblem: (problem) =>
      problem === undefined ? log.info('the store answers again') : log.warn(`the store: ${problem}`),
  });
}

/** Follows the keys of tokens that objects name by URL. */
async function keepKeys(
  options: ControlPlaneOptions,
  compiles: readonly CompileTarget[],
  flusher: Flusher,
  log: Logger,
): Promise<KeyKeeper> {
  const keeper = new KeyKeeper({
    publish: (changes) => {
      for (const compile of compiles) compile.apply(changes);
      flusher.request();
    },
    fetch: { allowed: options.allowFetch },
    ...(options.state !== undefined ? { cacheFile: join(options.state, 'token-keys.json') } : {}),
    onProblem: (message) => log.warn(message),
  });
  await keeper.load();
  return keeper;
}

function listenersOf({ api, xds, insecureXds, monitoring }: ControlPlaneOptions): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ api, xds, insecureXds, monitoring }).flatMap(([name, address]) =>
      address ? [[name, address.host]] : [],
    ),
  );
}

/** Aliases of the trust domain that the settings name count at once. */
function aliasTarget(identity: IdentityService): CompileTarget {
  return { apply: () => undefined, setMesh: (mesh) => identity.setAliases(mesh.trustDomainAliases) };
}

/** Follows the roots of other trust domains. */
async function followTrustDomains(
  options: ControlPlaneOptions,
  identity: IdentityService,
  log: Logger,
): Promise<TrustDomains> {
  const trust = new TrustDomains({
    publish: (domains) => identity.setDomains(domains),
    fetch: { allowed: options.allowFetch },
    ...(options.state !== undefined ? { cacheFile: join(options.state, 'trust-bundles.json') } : {}),
    onProblem: (message) => log.warn(message),
  });
  await trust.load();
  return trust;
}

/** Conditions on objects: what they cannot have, and what proxies refuse. */
function reportStatus(store: Store, kinds: KindRegistry, ledger: Ledger, log: Logger) {
  const writer = new StatusWriter({ store, onError: (message) => log.warn(message) });
  const problems = new ProblemReporter(kinds, writer, (error) =>
    log.error({ err: error }, 'looking for problems of objects failed'),
  );
  const refusals = new StatusReporter(kinds, writer);
  const unfollow = refusals.follow(ledger);
  const names = new NameChecks({
    writer,
    refOf: (key) => refOfOrigin(kinds, { kind: 'ServiceEntry', ...splitKey(key) }),
  });
  return {
    writer,
    problems,
    names,
    virtualIps(key: string, addresses: readonly HostAddress[]): void {
      const ref = refOfOrigin(kinds, { kind: 'ServiceEntry', ...splitKey(key) });
      if (ref) writer.set(ref, 'addresses', addresses.length > 0 ? addresses : undefined);
    },
    refusals,
    async stop(): Promise<void> {
      unfollow();
      names.close();
      problems.close();
      await writer.close();
    },
  };
}

function startCompile(
  flushes: FlushLog,
  log: Logger,
  stops: (() => void)[],
  holdClock: () => number,
): { engine: Engine; flusher: Flusher } {
  const engine = createEngine({ roots: roots.collections, pause: () => immediate() });
  const flusher = new Flusher(
    engine,
    (error) => log.error({ err: error }, 'the compile failed; proxies keep what they have'),
    { onFlush: (from, to) => flushes.flushed(from, to), now: holdClock },
  );
  stops.push(flushes.follow(engine));
  const collect = setInterval(() => engine.collect(), collectEveryMs).unref();
  const unsubscribe = engine.onFailures((failures) => {
    for (const failure of failures) log.warn(describeFailure(failure));
  });
  stops.push(
    () => clearInterval(collect),
    () => flusher.close(),
    () => unsubscribe(),
  );
  return { engine, flusher };
}

function meshOf(options: ControlPlaneOptions): MeshConfig {
  return overlayMeshConfig(
    { ...defaultMeshConfig, defaultMtlsMode: options.defaultMtlsMode },
    options.meshConfig,
  );
}

async function openIdentity(
  options: ControlPlaneOptions,
  mesh: MeshConfig,
  log: Logger,
  stops: (() => void)[],
): Promise<IdentityService | undefined> {
  if (!options.xds || options.state === undefined) return undefined;
  const identity = await openIdentityService({
    state: options.state,
    ...(options.ca !== undefined ? { ca: options.ca } : {}),
    ...(options.identity !== undefined ? { settingsFile: options.identity } : {}),
    trustDomain: mesh.trustDomain,
    trustDomainAliases: mesh.trustDomainAliases,
    host: options.xds.host,
    ...(options.trustSyncMs !== undefined
      ? {
          rotation: {
            syncMs: options.trustSyncMs,
            rotationSyncMs: options.trustSyncMs,
            checkMs: options.trustSyncMs,
          },
        }
      : {}),
    log,
  });
  stops.push(() => identity.close());
  return identity;
}

function directorySource(
  directory: string,
  kinds: ReturnType<typeof createBuiltInRegistry>,
  log: Logger,
): DirectorySource {
  return new DirectorySource({
    directory,
    admit: createAdmitObject(kinds),
    namespaced: (group, kind) => kinds.byKind(group, kind)?.namespaced,
    onProblem: (problems) => {
      if (problems.length === 0) log.info(`${directory}: all well again`);
      for (const problem of problems)
        log[problem.severity === 'error' ? 'error' : 'warn'](formatProblem(problem));
    },
  });
}

/** What lazy sidecars use is kept beside the rest of the state. */
function followLazily(
  options: ControlPlaneOptions,
  engine: Engine,
  flusher: Flusher,
  log: Logger,
  stops: (() => void | Promise<void>)[],
): ResourceSource {
  const memory = new LazyMemory({
    ...(options.state === undefined ? {} : { file: join(options.state, 'lazy-usage.json') }),
    warn: (message) => log.warn(message),
  });
  stops.push(() => memory.close());
  return lazySource(engine, memory, async (change, isSmall) => {
    if (isSmall) return flusher.applyNow(change);
    change();
    await flusher.soon();
  });
}

async function startXds(
  options: ControlPlaneOptions,
  parts: {
    source: ResourceSource;
    ledger: Ledger;
    identity: IdentityService | undefined;
    monitoring: Monitoring;
    registration: AutoRegistration | undefined;
    debug: Debug;
    log: Logger;
  },
): Promise<XdsServer | undefined> {
  const { source, ledger, identity, monitoring, registration, debug, log } = parts;
  const listeners: XdsListener[] = [];
  if (options.xds && identity) listeners.push({ name: 'tls', ...options.xds, tls: identity.tls });
  if (options.insecureXds) listeners.push({ name: 'plaintext', ...options.insecureXds });
  if (listeners.length === 0) return undefined;
  const xds = createXdsServer({
    source: registration ? withRegistration(source, registration) : source,
    authenticate: identity?.authenticate ?? (() => ({ ok: true, identity: undefined })),
    listeners,
    ledger,
    log,
    metrics: monitoring.xds,
    debug: debug.xds,
    ...(identity
      ? {
          otherCalls: (stream, headers, listener) =>
            identity.otherCalls(stream, headers, listener) ||
            (registration !== undefined &&
              listener.name === 'tls' &&
              serveRegistration(registration, identity.trustDomains, stream, headers)),
        }
      : {}),
  });
  await xds.start();
  identity?.keep((tls) => xds.updateTls('tls', tls));
  ledger.onRejected((event) =>
    log.warn(
      { proxy: event.proxyId, resources: event.resources },
      `a proxy refused ${event.resources.length} resources: ${event.message}`,
    ),
  );
  return xds;
}

import type { KindRegistry } from '../config/kind.ts';
import { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import type { ConfigBatch } from '../config/sources/source.ts';
import type { Store } from '../config/store/store.ts';
import { seenClock } from '../kit/seen-clock.ts';
import { parseMeshSettings } from '../model/mesh-settings.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import { createLedger, type Ledger } from '../xds/ledger.ts';
import { AutoRegistration } from './auto-registration.ts';
import { openStore } from './config-api.ts';
import { createDebug } from './debug/create-debug.ts';
import { Delivery } from './delivery/delivery.ts';
import { FlushLog } from './delivery/flush-log.ts';
import { RevisionBook } from './delivery/revision-book.ts';
import { FilterQuarantine } from './filter-quarantine.ts';
import { Deletions } from './history/deletions.ts';
import { keepHistory } from './history/keep-history.ts';
import type { Logger } from './log.ts';
import { type CompileTarget, MeshState } from './mesh-state.ts';
import { createMonitoring } from './monitoring.ts';
import { namesCall } from './names-call.ts';
import type { ControlPlaneOptions } from './options.ts';
import { PatchReporter } from './patch-reporter.ts';
import { proxySettingsCall } from './proxy-settings/proxy-settings-call.ts';
import { SettingsBook } from './proxy-settings/settings-book.ts';
import { reportStatus } from './report-status.ts';
import { Rollouts } from './rollout/rollouts.ts';
import { hasApi, startApi } from './start-api.ts';
import { followLazily, meshOf, startCompile } from './start-compile.ts';
import { aliasTarget, directorySource, followTrustDomains, keepKeys, storeSource } from './start-sources.ts';
import { openIdentity, startXds } from './start-xds.ts';
import type { StatusWriter } from './status-writer.ts';

export interface ControlPlane {
  readonly engine: Engine;
  readonly ledger: Ledger;
  /** Ports by server: `xds`, `insecure-xds`, `api`, `monitoring`. */
  readonly ports: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** What ends each part that was started, in the order of their starts. */
type Stops = (() => void | Promise<void>)[];

/** How long proxies wait for the first keys of tokens, in ms: without them valid tokens would be refused. */
const firstKeysMs = 5_000;

/** Starts everything, in this order: compile, identity, sources, xDS, API, monitoring. Throws what the first failing part throws. */
export async function startControlPlane(options: ControlPlaneOptions, log: Logger): Promise<ControlPlane> {
  const stops: Stops = [];
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
  stops: Stops,
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
  const monitoring = createMonitoring(engine, partsOf(options), identity?.ring);

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
  const settings = new SettingsBook(() => state);
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
      settings.observe(changes);
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
  const patchReports = status && reportPatches(status.writer, { kinds, engine, state, settings });
  if (patchReports) stops.push(() => patchReports.close());
  const observers = [
    quarantine,
    patchReports,
    ...(status ? [status.problems, status.names, status.refusals] : []),
  ];
  const take = (name: string, batch: ConfigBatch): void => {
    state.take(name, batch);
    for (const one of observers) void one?.observe(batch.changes);
    flusher.request(state.holdUntil);
  };
  await Promise.all([
    options.config !== undefined &&
      directorySource(options.config, kinds, log).start((batch) => take('files', batch), ending.signal),
    store && storeSource(store, log).start((batch) => take('store', batch), ending.signal),
  ]);
  void history?.start();
  await keys.settled(firstKeysMs);
  await flusher.settled();
  monitoring.setReady('configuration');

  const source = followLazily(options, engine, flusher, log, stops);
  await flusher.soon();
  const registration =
    store && status && openRegistration(options, { store, writer: status.writer, state, log });
  if (registration) stops.push(() => registration.close());
  const debug = createDebug({ options, engine, source, ledger, state, identity, monitoring, log });
  const ownCalls = [proxySettingsCall(settings), namesCall(engine)];
  const serving = { source, ledger, identity, monitoring, registration, ownCalls, debug, log };
  const xds = await startXds(options, serving);
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
    const api = await startApi(options, {
      ...{
        store,
        kinds,
        engine,
        ledger,
        state,
        delivery,
        history,
        identity,
        debug,
        deletions,
        hasTaken,
        log,
      },
      rollouts: trials,
      mesh,
      xdsPort: ports.get('xds'),
    });
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

/** What has to be there before the control plane is ready. */
function partsOf({ xds, insecureXds, api }: ControlPlaneOptions): string[] {
  return ['configuration', ...(xds || insecureXds ? ['xds'] : []), ...(api ? ['api'] : [])];
}

function openRegistration(
  { store: kind }: ControlPlaneOptions,
  parts: { store: Store; writer: StatusWriter; state: MeshState; log: Logger },
): AutoRegistration {
  const { state, ...rest } = parts;
  return new AutoRegistration({
    ...rest,
    group: (key) => state.merge.get('networking.istio.io', 'WorkloadGroup', key),
    alone: kind === 'embedded',
  });
}

function reportPatches(
  writer: StatusWriter,
  parts: { kinds: KindRegistry; engine: Engine; state: MeshState; settings: SettingsBook },
): PatchReporter {
  const { kinds, engine, state, settings } = parts;
  return new PatchReporter({
    kinds,
    writer,
    compile: engine,
    rootNamespace: () => state.mesh.rootNamespace,
    bootstrapPatches: () => settings.patches(),
  });
}

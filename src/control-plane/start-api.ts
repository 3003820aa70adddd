import type { AdmissionHook } from '../config/api-server/admission-hooks.ts';
import type { KindRegistry } from '../config/kind.ts';
import type { Store } from '../config/store/store.ts';
import { parseMeshSettings } from '../model/mesh-settings.ts';
import type { MeshConfig } from '../registry/mesh-config.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import type { Ledger } from '../xds/ledger.ts';
import { admissionWarnings } from './admission-warnings.ts';
import { startConfigApi } from './config-api.ts';
import type { Debug } from './debug/create-debug.ts';
import { publishIstiodPod, publishMeshSettings } from './debug/istiod-pod.ts';
import { workloadActions, workloadPaths } from './debug/workload-paths.ts';
import { controlActions, debugPaths } from './debug-paths.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { Deletions } from './history/deletions.ts';
import { historyPaths } from './history/history-paths.ts';
import type { keepHistory } from './history/keep-history.ts';
import { keepTrustDomain } from './home-trust-domain.ts';
import type { IdentityService } from './identity-service.ts';
import type { Logger } from './log.ts';
import type { MeshState } from './mesh-state.ts';
import type { ControlPlaneOptions } from './options.ts';
import { rolloutActions } from './rollout/rollout-paths.ts';
import type { Rollouts } from './rollout/rollouts.ts';
import { ostriaVersion } from './version.ts';

export type WithApi = ControlPlaneOptions & Required<Pick<ControlPlaneOptions, 'api' | 'state'>>;

export function hasApi(options: ControlPlaneOptions): options is WithApi {
  return options.api !== undefined && options.state !== undefined;
}

function listenersOf({ api, xds, insecureXds, monitoring }: ControlPlaneOptions): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ api, xds, insecureXds, monitoring }).flatMap(([name, address]) =>
      address ? [[name, address.host]] : [],
    ),
  );
}

/** Parts of a control plane that its API shows or acts on. */
export interface ApiParts {
  readonly store: Store;
  readonly kinds: KindRegistry;
  readonly engine: Engine;
  readonly ledger: Ledger;
  readonly state: MeshState;
  readonly delivery: Delivery;
  readonly rollouts: Rollouts;
  readonly history: ReturnType<typeof keepHistory>;
  readonly identity: IdentityService | undefined;
  readonly debug: Debug;
  readonly deletions: Deletions;
  /** Settings that the mesh started with: its trust domain stays. */
  readonly mesh: MeshConfig;
  /** Whether the compile has what the store has at a revision of it. */
  readonly hasTaken: (revision: number) => boolean;
  /** Where pods of gateways and sidecars are reached for `port-forward`, if xDS is served. */
  readonly xdsPort: number | undefined;
  readonly log: Logger;
}

/** Starts the configuration API with the pages and actions of this control plane beside the objects. */
export async function startApi(
  options: WithApi,
  parts: ApiParts,
): Promise<Awaited<ReturnType<typeof startConfigApi>>> {
  const { store, kinds, engine, ledger, state, delivery, rollouts, history, identity, debug } = parts;
  const ring = identity?.ring;
  const listeners = listenersOf(options);
  const workloads = {
    workloads: options.workloads,
    proxies: () => engine.proxies,
    rootNamespace: () => state.mesh.rootNamespace,
  };
  const api = await startConfigApi(options, {
    store,
    kinds,
    log: parts.log,
    release: ostriaVersion(),
    checks: {},
    paths: {
      ...debugPaths({ ledger, engine, state, delivery, ring, pages: debug.pages, kinds, listeners }),
      ...(history ? historyPaths(history) : {}),
      ...workloadPaths(workloads),
    },
    actions: {
      ...controlActions(ring),
      ...rolloutActions(rollouts),
      ...workloadActions(workloads),
    },
    hooks: hooksOf(parts),
    connectToPod: debug.connectToPod(parts.xdsPort),
  });
  // Several control planes over one etcd would write one pod: they are found by their addresses.
  if (options.store === 'embedded') {
    await publishIstiodPod(store, ostriaVersion(), options.monitoring?.port ?? 0);
    await publishMeshSettings(store);
  }
  return api;
}

/** What has a say in writes, or tells of them. */
function hooksOf(parts: ApiParts): AdmissionHook[] {
  const { store, engine, identity, deletions, mesh, hasTaken } = parts;
  return [
    deletions.hook,
    ...(identity ? [keepTrustDomain(mesh, parseMeshSettings)] : []),
    admissionWarnings({
      world: engine.world,
      isCurrent: async () => !engine.pending && hasTaken(await store.revision()),
      now: Date.now,
    }),
  ];
}

import type { ConnectToPod } from '../../config/api-server/port-forward/port-forward.ts';
import type { Engine } from '../../snapshot/engine/engine.ts';
import type { ResourceSource } from '../../snapshot/push.ts';
import type { DebugService } from '../../xds/debug-stream.ts';
import type { Ledger } from '../../xds/ledger.ts';
import type { IdentityService } from '../identity-service.ts';
import type { Logger } from '../log.ts';
import type { MeshState } from '../mesh-state.ts';
import type { Monitoring } from '../monitoring.ts';
import type { ControlPlaneOptions } from '../options.ts';
import { ostriaVersion } from '../version.ts';
import { createDebugPages, type DebugParts } from './create-pages.ts';
import { createDebugHttp } from './debug-http.ts';
import type { DebugPages } from './debug-page.ts';
import { ruleOf } from './istio-metadata.ts';
import { istiodPod } from './istiod-pod.ts';
import { podConnections } from './pod-connections.ts';
import { xdsDebug } from './xds-debug.ts';

/** What Istio's tools are told of the running mesh. */
export interface Debug {
  readonly pages: DebugPages;
  /** For the xDS server. */
  readonly xds: DebugService;
  /** For the API; `xdsPort`: where TLS xDS listens, undefined where it does not. */
  connectToPod(xdsPort: number | undefined): ConnectToPod;
}

export function createDebug(from: {
  options: ControlPlaneOptions;
  engine: Engine;
  source: ResourceSource;
  ledger: Ledger;
  state: MeshState;
  identity: IdentityService | undefined;
  monitoring: Monitoring;
  log: Logger;
}): Debug {
  const { options, engine, source, ledger, state, identity, monitoring, log } = from;
  const build = { version: ostriaVersion(), revision: '', golang_version: '', status: 'Clean', tag: '' };
  const parts: DebugParts = {
    proxies: { proxies: engine.proxies, statuses: () => ledger.snapshot() },
    resources: (proxyId, typeUrl) => source.resources(proxyId, typeUrl),
    held: (proxyId) => ledger.held(proxyId),
    world: () => engine.world,
    mesh: () => state.mesh,
    revision: () => engine.revision,
    *objects() {
      for (const { object } of state.merge.all()) if (object) yield object;
    },
    failures: () => engine.failures().map(({ query, args }) => ({ query, args })),
  };
  const pages = createDebugPages(parts);
  const debug = createDebugHttp({
    pages,
    build,
    metrics: () => monitoring.metrics(),
    onError: (error) => log.error({ err: error }, 'a debug page failed'),
  });
  return {
    pages,
    xds: xdsDebug({
      parts,
      pages,
      authenticate: identity?.authenticate ?? (() => ({ ok: true, identity: undefined })),
      controlPlane: JSON.stringify({ Component: 'istiod', ID: istiodPod.name, Info: build }),
    }),
    connectToPod: (xdsPort) =>
      podConnections({
        istiod: istiodPod,
        debug,
        rootNamespace: () => state.mesh.rootNamespace,
        rule: (namespace, pod) => {
          const id = engine.proxies
            .values()
            .find((proxy) => proxy.namespace === namespace && proxy.name === pod)?.id;
          return id === undefined ? () => undefined : ruleOf((type) => source.resources(id, type));
        },
        xds: options.xds && xdsPort !== undefined ? { host: options.xds.host, port: xdsPort } : undefined,
        workloads: options.workloads,
      }),
  };
}

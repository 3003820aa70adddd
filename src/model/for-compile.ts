import type { ConfigObject } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { worldKind } from '../config/world-kind.ts';
import type { WorldChange } from '../snapshot/world.ts';

/** Kinds that the compile never reads: kept out of the world. */
const ignoredKinds: ReadonlySet<string> = new Set([
  'Event',
  'coordination.k8s.io/Lease',
  'events.k8s.io/Event',
  'EndpointSlice',
  'Endpoints',
  'Pod',
  'Node',
  'discovery.k8s.io/EndpointSlice',
]);

/** What changes of configuration are to the compile, services and workloads (the registry's) aside. */
export function worldChanges(changes: readonly ConfigChange[]): WorldChange[] {
  const world: WorldChange[] = [];
  for (const change of changes) {
    const kind = worldKind(change.group, change.kind);
    if (kind === 'Pod') world.push({ kind, key: change.key, value: podForCompile(change.object) });
    if (ignoredKinds.has(kind)) continue;
    world.push({ kind, key: change.key, value: change.object ? forCompile(change.object) : undefined });
  }
  return world;
}

/** The object without what no result may depend on. */
export function forCompile(object: ConfigObject): ConfigObject {
  const { status: _status, metadata, ...rest } = object;
  return {
    ...rest,
    metadata: {
      name: metadata.name,
      ...(metadata.namespace !== undefined ? { namespace: metadata.namespace } : {}),
      ...(metadata.labels ? { labels: metadata.labels } : {}),
      ...annotationsForCompile(metadata.annotations),
      ...(metadata.creationTimestamp ? { creationTimestamp: metadata.creationTimestamp } : {}),
    },
    ...loadBalancerOf(object),
  };
}

const proxyConfig = 'proxy.istio.io/config';

/** Of Pods the registry makes workloads; the compile needs a few for the settings of their own proxy. */
function podForCompile(pod: ConfigObject | undefined): ConfigObject | undefined {
  const config = pod?.metadata.annotations?.[proxyConfig];
  if (!pod || config === undefined) return undefined;
  const { name, namespace } = pod.metadata;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    annotations: { [proxyConfig]: config },
  };
  return { apiVersion: 'v1', kind: 'Pod', metadata };
}

/** The one part of a status that something else than we decides, and that results depend on: a Service's addresses outside. */
function loadBalancerOf({ kind, status }: ConfigObject): { status?: unknown } {
  const { loadBalancer } = (status ?? {}) as { loadBalancer?: unknown };
  return kind === 'Service' && loadBalancer !== undefined ? { status: { loadBalancer } } : {};
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

function annotationsForCompile(annotations: Readonly<Record<string, string>> | undefined) {
  if (!annotations) return {};
  if (!(lastApplied in annotations)) return { annotations };
  const { [lastApplied]: _lastApplied, ...kept } = annotations;
  return { annotations: kept };
}

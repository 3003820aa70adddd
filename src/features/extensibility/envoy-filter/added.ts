import { type Cluster, ClusterSchema } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from '../../../../gen/proto/envoy/config/core/v3/extension_pb.js';
import { type Listener, ListenerSchema } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { encodeResource } from '../../../envoy/pack.ts';
import { blackHoleCluster, inboundPassthroughCluster, passthroughCluster } from '../../../plan/names.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../../../snapshot/query.ts';
import { type Resource, typeUrls } from '../../../snapshot/resource.ts';
import type { View } from '../../../snapshot/view.ts';
import { applicable, splitApplicable } from './applies.ts';
import { isQuarantined } from './quarantine.ts';
import { type Patch, patchOrigin, readPatches } from './schema.ts';

const ownClusters: ReadonlySet<string> = new Set([
  passthroughCluster,
  blackHoleCluster,
  inboundPassthroughCluster,
  'xds-grpc',
  'sds-grpc',
]);

/** Names under which the mesh makes clusters itself: a patch cannot add one, it can change the one that is there. */
export function isOwnCluster(name: string): boolean {
  return ownClusters.has(name) || /^(in|out)bound\|/.test(name);
}

const ownListener = /^(virtual(In|Out)bound|http_proxy|explicit_.*|inbound_.*|[0-9a-fA-F.:]+_\d+)$/;

/** A listener's name means nothing to Envoy: one that the mesh could use is set apart by the filter's. */
function listenerName(patch: Patch, name: string): string {
  return ownListener.test(name) || name === '' ? `envoy-filter/${patch.id}` : name;
}

/** The patches of a sort that add something, by their ids; of those that add the same name the first has it. */
function adding(view: View, target: Key, applyTo: Patch['applyTo']): Patch[] {
  const taken = new Set<string>();
  return readPatches(view, splitApplicable(view.call(applicable, target)).ids).filter((patch) => {
    if (patch.applyTo !== applyTo || patch.operation !== 'ADD') return false;
    const name = nameOf(patch);
    if (taken.has(name) || (applyTo === 'CLUSTER' && isOwnCluster(name))) return false;
    taken.add(name);
    return true;
  });
}

function nameOf(patch: Patch): string {
  const { name } = patch.value as Cluster | Listener | TypedExtensionConfig;
  return patch.applyTo === 'LISTENER' ? listenerName(patch, name) : name;
}

function addedCollection(
  label: string,
  target: Key,
  applyTo: Patch['applyTo'],
  encode: (patch: Patch, name: string) => Resource,
): Collection<Resource> {
  const name = `envoy-filter.added-${label}`;
  const keys = defineQuery(`${name}.keys`, (view): readonly Key[] =>
    view.call(applicable, target) === ''
      ? []
      : adding(view, target, applyTo)
          .map(({ id }) => id)
          .sort(),
  );
  const item = defineQuery(`${name}.item`, (view, id: Key): Resource | undefined => {
    const [patch] = readPatches(view, [id]);
    const resource = patch && encode(patch, nameOf(patch));
    return resource && !isQuarantined(view, id, resource) ? resource : undefined;
  });
  return defineCollection(name, keys, item);
}

function hintsOf(patch: Patch) {
  return { patches: [patch.id] };
}

/** Clusters, listeners and extension configurations that patches bring. */
export const addedResources: readonly Collection<Resource>[] = [
  addedCollection('clusters', 'cluster', 'CLUSTER', (patch, name) => {
    const cluster = patch.value as Cluster;
    return encodeResource(typeUrls.cluster, name, ClusterSchema, cluster, [patchOrigin(patch.id)], {
      ...hintsOf(patch),
      ...(cluster.healthChecks.length > 0 ? { slowWarming: true } : {}),
    });
  }),
  addedCollection('listeners', 'listener', 'LISTENER', (patch, name) =>
    encodeResource(
      typeUrls.listener,
      name,
      ListenerSchema,
      { ...(patch.value as Listener), name },
      [patchOrigin(patch.id)],
      hintsOf(patch),
    ),
  ),
  addedCollection('extensions', 'extension', 'EXTENSION_CONFIG', (patch, name) =>
    encodeResource(
      typeUrls.extension,
      name,
      TypedExtensionConfigSchema,
      patch.value as TypedExtensionConfig,
      [patchOrigin(patch.id)],
      hintsOf(patch),
    ),
  ),
];

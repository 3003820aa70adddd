import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Cluster_DiscoveryType,
  ClusterSchema,
} from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../../../gen/proto/envoy/config/route/v3/route_pb.js';
import { encodeResource } from '../../../envoy/pack.ts';
import type {
  HostTarget,
  OutputPatches,
  PatchedHost,
  PatchResult,
  RoutesTarget,
} from '../../../plan/feature.ts';
import type { Key } from '../../../snapshot/query.ts';
import { type Resource, type ResourceHints, typeUrls } from '../../../snapshot/resource.ts';
import type { View } from '../../../snapshot/view.ts';
import { addedResources } from './added.ts';
import { applicable, joinApplicable, splitApplicable } from './applies.ts';
import { listenerNameMatches } from './listener-match.ts';
import { clusterMatches, patchCluster } from './patch-cluster.ts';
import { patchListener } from './patch-listener.ts';
import { clustersIn, hostNameMatches, patchHost, patchRoutes, routesMatch } from './patch-routes.ts';
import { type PatchRun, startRun } from './patch-run.ts';
import { isQuarantined } from './quarantine.ts';
import { type PatchHead, patchHead, patchOrigin, readPatches } from './schema.ts';

function startFor(view: View, set: Key): PatchRun {
  return startRun(readPatches(view, splitApplicable(set).ids));
}

function resultOf<T>(run: PatchRun, content: T | undefined): PatchResult<T> {
  const applied = [...run.applied];
  return { content, applied, origins: applied.map(patchOrigin) };
}

/** The patches of a set that a predicate keeps and that are in force for the resource. */
function narrowed(
  view: View,
  set: Key,
  resource: { typeUrl: string; name: string },
  keep: (head: PatchHead, gateway: boolean) => boolean,
): Key {
  const { proxyType, ids } = splitApplicable(set);
  const kept = ids.filter((id) => {
    const head = patchHead(view, id);
    return head !== undefined && keep(head, proxyType === 'router') && !isQuarantined(view, id, resource);
  });
  return joinApplicable(proxyType, kept);
}

function cluster(view: View, set: Key, resource: Resource): PatchResult<Resource> {
  const run = startFor(view, set);
  const message = patchCluster(run, fromBinary(ClusterSchema, resource.bytes));
  if (!message || run.applied.size === 0) return resultOf(run, message && resource);
  const { eds: _, endpointSet, ...hints } = resource.hints ?? {};
  const type = message.clusterDiscoveryType;
  const changed: ResourceHints = {
    ...hints,
    ...(type.case === 'type' && type.value === Cluster_DiscoveryType.EDS && resource.hints?.eds
      ? { eds: true, ...(endpointSet === undefined ? {} : { endpointSet }) }
      : {}),
    ...(message.healthChecks.length > 0 ? { slowWarming: true } : {}),
  };
  return resultOf(
    run,
    encodeResource(resource.typeUrl, resource.name, ClusterSchema, message, resource.origins, changed),
  );
}

function listener(view: View, set: Key, resource: Resource): PatchResult<Resource> {
  const run = startFor(view, set);
  const message = patchListener(run, {
    listener: fromBinary(ListenerSchema, resource.bytes),
    known: resource.hints?.known ?? {},
  });
  if (!message || run.applied.size === 0) return resultOf(run, message && resource);
  // It stays the resource that it was, whatever a patch calls it.
  message.name = resource.name;
  return resultOf(
    run,
    encodeResource(
      resource.typeUrl,
      resource.name,
      ListenerSchema,
      message,
      resource.origins,
      resource.hints,
    ),
  );
}

function host(view: View, set: Key, target: HostTarget, body: Uint8Array): PatchResult<PatchedHost> {
  const run = startFor(view, set);
  const message = fromBinary(VirtualHostSchema, body);
  message.name = target.name;
  const patched = patchHost(run, message);
  if (!patched) return resultOf<PatchedHost>(run, undefined);
  patched.name = '';
  return resultOf(run, { body: toBinary(VirtualHostSchema, patched), clusters: clustersIn(patched) });
}

function routes(
  view: View,
  set: Key,
  target: RoutesTarget,
  body: Uint8Array,
  taken: () => ReadonlySet<string>,
): PatchResult<Uint8Array> {
  const run = startFor(view, set);
  const message = fromBinary(RouteConfigurationSchema, body);
  patchRoutes(run, message, taken);
  message.name = target.routes;
  return resultOf(run, run.applied.size === 0 ? body : toBinary(RouteConfigurationSchema, message));
}

/** The forward proxy's routes are for all ports: its hosts carry theirs in their names. */
function withHostPort(target: HostTarget): HostTarget {
  if (target.routes !== 'http_proxy') return target;
  return { ...target, port: Number(target.name.slice(target.name.lastIndexOf(':') + 1)) };
}

function routesTarget(target: RoutesTarget, gateway: boolean) {
  return { name: target.routes, gateway, ...(target.port === undefined ? {} : { port: target.port }) };
}

export const patches: OutputPatches = {
  applicable,
  concerning: (view, set, type, resource) =>
    narrowed(view, set, resource, (head, gateway) =>
      type === 'cluster'
        ? clusterMatches(head, resource.name, resource.hints?.known, gateway)
        : listenerNameMatches(head, resource.name, resource.hints?.known ?? {}),
    ),
  concerningHost: (view, set, target) =>
    narrowed(
      view,
      set,
      target.alone
        ? { typeUrl: typeUrls.virtualHost, name: `${target.routes}/${target.name}` }
        : { typeUrl: typeUrls.route, name: target.routes },
      (head, gateway) =>
        head.applyTo !== 'ROUTE_CONFIGURATION' &&
        !(head.applyTo === 'VIRTUAL_HOST' && head.operation === 'ADD') &&
        routesMatch(head, routesTarget(withHostPort(target), gateway)) &&
        hostNameMatches(head, target.name),
    ),
  concerningRoutes: (view, set, target) =>
    narrowed(view, set, { typeUrl: typeUrls.route, name: target.routes }, (head, gateway) =>
      routesMatch(head, routesTarget(target, gateway)),
    ),
  cluster,
  listener,
  host,
  routes,
  collections: addedResources,
};

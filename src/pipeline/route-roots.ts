import { toBinary } from '@bufbuild/protobuf';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Origin } from '../config/origin.ts';
import { distinctOrigins, encodedResource } from '../envoy/pack.ts';
import { encodeRouteConfiguration, namedVirtualHost, withHosts } from '../envoy/virtual-host.ts';
import { hashBytes } from '../kit/hash.ts';
import { usesVhds } from '../plan/attributes.ts';
import type { HostTarget, OutputPatches, RouteShaper } from '../plan/feature.ts';
import {
  clustersOf,
  type RouteConfigurationPlan,
  usedClustersSlot,
  type VirtualHostPlan,
} from '../plan/route-plan.ts';
import { read } from '../plan/slot.ts';
import { type Collection, defineCollection, defineQuery, type Key, type Query } from '../snapshot/query.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import type { Decorate } from './decorate.ts';
import type { Emit } from './emit.ts';
import type { HostBody } from './host-body.ts';
import { originsOf } from './origins.ts';
import { domainsOf, type PatchedHostBody, patchHostBody, removed } from './patch.ts';
import type { Planned } from './planned.ts';
import { sameResource } from './same-resource.ts';

type HostOf = (view: View, name: Key, key: Key, patches: HostPatches) => PatchedHostBody | undefined;

/** What may concern the hosts of a route configuration, '' for nothing, and the port that users know it by. */
interface HostPatches {
  readonly set: Key;
  readonly port?: number;
  /** The hosts travel one by one. */
  readonly alone: boolean;
}

/** The collections of a route shaper: route configurations, and their hosts one by one for proxies that take them so. */
export function routeRoots(
  shaper: RouteShaper,
  decorate: Decorate,
  emit: Emit,
  patches: OutputPatches | undefined,
): { collections: Collection<Resource>[]; list: (view: View) => Planned[] } {
  const label = `route/${shaper.name}`;
  const encode = (view: View, plan: VirtualHostPlan): HostBody => {
    decorate.virtualHost(view, plan);
    const body = toBinary(VirtualHostSchema, emit.virtualHost(plan));
    return {
      name: plan.name,
      body,
      version: hashBytes(body),
      clusters: [...new Set([...clustersOf(plan), ...(read(plan, usedClustersSlot) ?? [])])].sort(),
      origins: originsOf(plan, ...plan.routes),
    };
  };
  const built = defineQuery(
    `${label}.host-built`,
    (view, ...ids: Key[]): HostBody | undefined => {
      const plan = shaper.planHost(view, ...ids);
      return plan && encode(view, plan);
    },
    { equal: (a, b) => a?.version === b?.version && a?.name === b?.name },
  );
  const patched = patches && patchedHosts(label, built, patches);
  const hostOf: HostOf = (view, name, key, { set, port, alone }) => {
    const ids = shaper.resolveHost(view, name, key);
    const found = ids && view.call(built, ...ids);
    if (!found || !patched || set === '') return found;
    const concerning = patches.concerningHost(view, set, hostTarget(name, port, found.name, alone));
    return concerning === '' ? found : view.call(patched, concerning, name, String(port ?? ''), ...ids);
  };
  return {
    collections: [
      routeConfigurations(label, shaper, { encode, hostOf, patches }),
      singleHosts(`${label}.vhds`, shaper, hostOf, patches),
    ],
    list: (view) => listPlans(view, shaper, decorate),
  };
}

function planOf(view: View, shaper: RouteShaper, name: Key): RouteConfigurationPlan | undefined {
  const ids = shaper.resolve ? shaper.resolve(view, name) : [name];
  return ids && shaper.plan(view, ...ids);
}

function hostTarget(routes: string, port: number | undefined, name: string, alone: boolean): HostTarget {
  return { routes, name, alone, ...(port === undefined ? {} : { port }) };
}

type BuiltHosts = Query<Key[], HostBody | undefined>;

function patchedHosts(label: string, built: BuiltHosts, patches: OutputPatches) {
  return defineQuery(
    `${label}.host-patched`,
    (view, set: Key, routes: Key, port: Key, ...ids: Key[]): PatchedHostBody | undefined => {
      const found = view.call(built, ...ids);
      const target = { routes, ...(port === '' ? {} : { port: Number(port) }) };
      return found && patchHostBody(view, patches, set, target, found);
    },
    { equal: (a, b) => a?.version === b?.version && a?.name === b?.name && a?.isRemoved === b?.isRemoved },
  );
}

function hostPatches(
  view: View,
  patches: OutputPatches | undefined,
  alone: boolean,
  plan: () => RouteConfigurationPlan | undefined,
): HostPatches {
  const set = patches ? view.call(patches.applicable, 'route') : '';
  const port = set === '' ? undefined : plan()?.policyPort;
  return { set, alone, ...(port === undefined ? {} : { port }) };
}

interface RouteParts {
  readonly encode: (view: View, plan: VirtualHostPlan) => HostBody;
  readonly hostOf: HostOf;
  readonly patches: OutputPatches | undefined;
}

function routeConfigurations(label: string, shaper: RouteShaper, parts: RouteParts): Collection<Resource> {
  const item = defineQuery(
    `${label}.item`,
    (view, name: Key): Resource | undefined => {
      const plan = planOf(view, shaper, name);
      if (!plan) return undefined;
      const vhds = plan.allowVhds && view.attribute(usesVhds);
      const concerning = hostPatches(view, parts.patches, false, () => plan);
      const hosts = plan.inlineHosts.map((inline) => patchedInline(view, parts, plan, concerning, inline));
      if (!vhds)
        for (const key of view.call(shaper.hosts, name)) {
          const found = parts.hostOf(view, name, key, concerning);
          if (found) hosts.push(found);
        }
      const kept = hosts.filter((host) => !host.isRemoved);
      const all = () => [
        ...kept,
        ...(vhds ? hostsOf(view, shaper, name, parts.hostOf, { ...concerning, set: '' }) : []),
      ];
      const head = patchedHead(view, parts.patches, plan, concerning, vhds, () => domainsOf(all()));
      const bodies = kept.map((host) => namedVirtualHost(host.name, host.body));
      const origins = distinctOrigins([
        plan.origin,
        ...kept.flatMap((host) => host.origins),
        ...head.origins,
      ]);
      const applied = [...new Set([...head.applied, ...hosts.flatMap((host) => host.patches ?? [])])];
      return encodedResource(typeUrls.route, plan.name, withHosts(head.body, bodies), origins, {
        clusters: [...new Set(kept.flatMap((host) => host.clusters))].sort(),
        ...(vhds ? { vhds: true } : {}),
        ...(applied.length > 0 ? { patches: applied } : {}),
      });
    },
    { equal: sameResource },
  );
  return defineCollection(label, shaper.keys, item, typeUrls.route);
}

function hostsOf(
  view: View,
  shaper: RouteShaper,
  name: Key,
  hostOf: HostOf,
  concerning: HostPatches,
): HostBody[] {
  return view.call(shaper.hosts, name).flatMap((key) => hostOf(view, name, key, concerning) ?? []);
}

/** A host that is always part of its route configuration. */
function patchedInline(
  view: View,
  { encode, patches }: RouteParts,
  plan: RouteConfigurationPlan,
  { set, port }: HostPatches,
  inline: VirtualHostPlan,
): PatchedHostBody {
  const body = encode(view, inline);
  if (!patches || set === '') return body;
  const concerning = patches.concerningHost(view, set, hostTarget(plan.name, port, body.name, false));
  if (concerning === '') return body;
  return patchHostBody(view, patches, concerning, hostTarget(plan.name, port, body.name, false), body);
}

/** The route configuration without the hosts that the mesh makes: those that patches add are part of it. */
function patchedHead(
  view: View,
  patches: OutputPatches | undefined,
  plan: RouteConfigurationPlan,
  { set, port }: HostPatches,
  vhds: boolean,
  taken: () => ReadonlySet<string>,
): { body: Uint8Array; applied: readonly Key[]; origins: readonly Origin[] } {
  const body = encodeRouteConfiguration(plan, vhds);
  const target = { routes: plan.name, ...(port === undefined ? {} : { port }) };
  const concerning = patches && set !== '' ? patches.concerningRoutes(view, set, target) : '';
  if (!patches || concerning === '') return { body, applied: [], origins: [] };
  const { content, applied, origins } = patches.routes(view, concerning, target, body, taken);
  return { body: content ?? body, applied, origins };
}

/** Resources named `<route configuration>/<host>`; Envoy demands that the host's own name is the same. */
function singleHosts(
  label: string,
  shaper: RouteShaper,
  hostOf: HostOf,
  patches: OutputPatches | undefined,
): Collection<Resource> {
  const keys = defineQuery(`${label}-keys`, (view): readonly Key[] => {
    if (!view.attribute(usesVhds)) return [];
    return view
      .call(shaper.keys)
      .flatMap((name) => view.call(shaper.hosts, name).map((key) => `${name}/${key}`));
  });
  const item = defineQuery(
    `${label}-item`,
    (view, key: Key): Resource | undefined => {
      const slash = key.indexOf('/');
      const routes = key.slice(0, slash);
      const concerning = hostPatches(view, patches, true, () => planOf(view, shaper, routes));
      const found = hostOf(view, routes, key.slice(slash + 1), concerning);
      if (!found) return undefined;
      const name = `${routes}/${found.name}`;
      if (found.isRemoved) return removed(typeUrls.virtualHost, name, found.patches ?? []);
      return encodedResource(typeUrls.virtualHost, name, namedVirtualHost(name, found.body), found.origins, {
        clusters: found.clusters,
        ...(found.patches ? { patches: found.patches } : {}),
      });
    },
    { equal: sameResource },
  );
  return defineCollection(label, keys, item, typeUrls.virtualHost);
}

function listPlans(view: View, shaper: RouteShaper, decorate: Decorate): Planned[] {
  return view.call(shaper.keys).flatMap((name): Planned[] => {
    const plan = planOf(view, shaper, name);
    if (!plan) return [];
    for (const inline of plan.inlineHosts) decorate.virtualHost(view, inline);
    const hosts = view.call(shaper.hosts, name).flatMap((key): Planned[] => {
      const ids = shaper.resolveHost(view, name, key);
      const node = ids && shaper.planHost(view, ...ids);
      if (!node) return [];
      decorate.virtualHost(view, node);
      return [{ type: 'virtual-host', node }];
    });
    return [{ type: 'route-configuration', node: plan }, ...hosts];
  });
}

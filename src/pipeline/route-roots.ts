import { toBinary } from '@bufbuild/protobuf';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Origin } from '../config/origin.ts';
import { distinctOrigins, encodedResource } from '../envoy/pack.ts';
import { encodeRouteConfiguration, namedVirtualHost } from '../envoy/virtual-host.ts';
import { hashBytes } from '../kit/hash.ts';
import { usesVhds } from '../plan/attributes.ts';
import type { RouteShaper } from '../plan/feature.ts';
import {
  clustersOf,
  type RouteConfigurationPlan,
  usedClustersSlot,
  type VirtualHostPlan,
} from '../plan/route-plan.ts';
import { read } from '../plan/slot.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../snapshot/query.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import type { Decorate } from './decorate.ts';
import type { Emit } from './emit.ts';
import { originsOf } from './origins.ts';
import type { Planned } from './planned.ts';
import { sameResource } from './same-resource.ts';

/** A virtual host, encoded without its name, which differs between one that travels alone and one in its route configuration. */
interface HostBody {
  readonly name: string;
  readonly body: Uint8Array;
  readonly version: string;
  readonly clusters: readonly string[];
  readonly origins: readonly Origin[];
}

type HostOf = (view: View, name: Key, key: Key) => HostBody | undefined;

/** The collections of a route shaper: route configurations, and their hosts one by one for proxies that take them so. */
export function routeRoots(
  shaper: RouteShaper,
  decorate: Decorate,
  emit: Emit,
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
  const hostOf: HostOf = (view, name, key) => {
    const ids = shaper.resolveHost(view, name, key);
    return ids && view.call(built, ...ids);
  };
  return {
    collections: [
      routeConfigurations(label, shaper, encode, hostOf),
      singleHosts(`${label}.vhds`, shaper, hostOf),
    ],
    list: (view) => listPlans(view, shaper, decorate),
  };
}

function planOf(view: View, shaper: RouteShaper, name: Key): RouteConfigurationPlan | undefined {
  const ids = shaper.resolve ? shaper.resolve(view, name) : [name];
  return ids && shaper.plan(view, ...ids);
}

function routeConfigurations(
  label: string,
  shaper: RouteShaper,
  encode: (view: View, plan: VirtualHostPlan) => HostBody,
  hostOf: HostOf,
): Collection<Resource> {
  const item = defineQuery(
    `${label}.item`,
    (view, name: Key): Resource | undefined => {
      const plan = planOf(view, shaper, name);
      if (!plan) return undefined;
      const vhds = plan.allowVhds && view.attribute(usesVhds);
      const hosts = plan.inlineHosts.map((inline) => encode(view, inline));
      if (!vhds)
        for (const key of view.call(shaper.hosts, name)) {
          const found = hostOf(view, name, key);
          if (found) hosts.push(found);
        }
      const bodies = hosts.map((host) => namedVirtualHost(host.name, host.body));
      const origins = distinctOrigins([plan.origin, ...hosts.flatMap((host) => host.origins)]);
      return encodedResource(
        typeUrls.route,
        plan.name,
        encodeRouteConfiguration(plan, bodies, vhds),
        origins,
        {
          clusters: [...new Set(hosts.flatMap((host) => host.clusters))].sort(),
          ...(vhds ? { vhds: true } : {}),
        },
      );
    },
    { equal: sameResource },
  );
  return defineCollection(label, shaper.keys, item);
}

/** Resources named `<route configuration>/<host>`; Envoy demands that the host's own name is the same. */
function singleHosts(label: string, shaper: RouteShaper, hostOf: HostOf): Collection<Resource> {
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
      const found = hostOf(view, key.slice(0, slash), key.slice(slash + 1));
      if (!found) return undefined;
      const name = `${key.slice(0, slash)}/${found.name}`;
      return encodedResource(typeUrls.virtualHost, name, namedVirtualHost(name, found.body), found.origins, {
        clusters: found.clusters,
      });
    },
    { equal: sameResource },
  );
  return defineCollection(label, keys, item);
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

import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { originId } from '../config/origin.ts';
import { type RouteConfigurationPlan, takesEverything, type VirtualHostPlan } from '../plan/route-plan.ts';
import { adsSource } from './config-source.ts';
import { originMetadata } from './pack.ts';

/** Of answers that routes give themselves; Envoy's own limit of 4 KiB is less than what the API admits (1 MB). */
export const maxDirectResponseBodySizeBytes = 1 << 20;

/** The virtual host without its name: it differs between a host that travels alone and one in its route configuration. */
export function buildVirtualHost(plan: VirtualHostPlan, routes: Route[]): VirtualHost {
  return create(VirtualHostSchema, {
    domains: [...plan.domains],
    routes,
    requireTls: plan.requireTls ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
    ...(speaksForHost(plan) ? {} : { metadata: originMetadata(plan.origin, missed(plan)) }),
  });
}

/**
 * The last route takes every request and was made by what made the host: who looks for the host's maker finds it there. Most hosts are
 * of that kind, and metadata make up a third of what a host costs Envoy whenever one of its table changes.
 */
function speaksForHost({ origin, requireTls, routes }: VirtualHostPlan): boolean {
  const last = routes.at(-1);
  if (!last || requireTls) return false;
  return takesEverything(last.match) && originId(last.origin) === originId(origin);
}

/** Of a host whose routes leave requests without any: its name, for metrics, and who made the routes, for access logs. */
function missed({ name, origin, routes }: VirtualHostPlan): Readonly<Record<string, string>> {
  const last = routes.at(-1);
  if (last && takesEverything(last.match)) return {};
  const host = name.replace(/:\d+$/, '');
  const maker = last && originId({ ...last.origin, path: '' });
  return {
    ...(host.includes('*') ? {} : { missed_host: host }),
    ...(maker === undefined || maker === originId({ ...origin, path: '' }) ? {} : { missed: maker }),
  };
}

/** Puts the name (field 1) before an encoded virtual host: concatenated messages merge, so nothing is encoded twice. */
export function namedVirtualHost(name: string, body: Uint8Array): Uint8Array {
  return concatenate([new BinaryWriter().tag(1, WireType.LengthDelimited).string(name).finish(), body]);
}

/** A route configuration without hosts. */
export function encodeRouteConfiguration(plan: RouteConfigurationPlan, vhds: boolean): Uint8Array {
  return toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, {
      name: plan.name,
      validateClusters: false,
      maxDirectResponseBodySizeBytes,
      ignorePortInHostMatching: plan.ignorePort,
      metadata: originMetadata(plan.origin),
      responseHeadersToAdd: (plan.responseHeaders ?? []).map(([key, value]) =>
        create(HeaderValueOptionSchema, {
          header: { key, value },
          appendAction: AppendAction.ADD_IF_ABSENT,
        }),
      ),
      responseHeadersToRemove: [...(plan.hiddenResponseHeaders ?? [])],
      ...(vhds ? { vhds: { configSource: adsSource() } } : {}),
    }),
  );
}

/** Appends hosts that are encoded already (field 2) to an encoded route configuration. */
export function withHosts(routes: Uint8Array, hosts: readonly Uint8Array[]): Uint8Array {
  const chunks: Uint8Array[] = [routes];
  for (const host of hosts)
    chunks.push(new BinaryWriter().tag(2, WireType.LengthDelimited).uint32(host.length).finish(), host);
  return concatenate(chunks);
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    result.set(chunk, at);
    at += chunk.length;
  }
  return result;
}

import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { TypedExtensionConfigSchema } from '../../../../gen/proto/envoy/config/core/v3/extension_pb.js';
import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  CompositePerRouteSchema,
  CompositeSchema,
  ExecuteFilterActionSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/composite/v3/composite_pb.js';
import { ExtAuthzSchema } from '../../../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { originId } from '../../../config/origin.ts';
import { externalAuthorizer } from '../../../envoy/external-authorizer.ts';
import { backendAuthorizer, ruleAuthorizer } from '../../../envoy/filter-order.ts';
import { pack } from '../../../envoy/pack.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { originOf, read } from '../../../plan/slot.ts';
import { type AskedAuthorizer, mayAskSlot, routeAuthorizersSlot } from './schema.ts';

const idle: readonly HttpFilterFragment[] = [ruleAuthorizer, backendAuthorizer].map((name) => ({
  name,
  config: pack(CompositeSchema, {}),
  disabled: true,
}));

/**
 * Filters that become what a route says: settings travel with the route, so that an edit holds for connections that are open too, which
 * a filter of the listener would reach only when they end. One of them can become one filter: Envoy's chain of delegated filters does not
 * come back to the second after the first has waited.
 */
export function httpFilters(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  return read(chain, mayAskSlot) ? idle : [];
}

export function emitRoute(plan: RoutePlan, message: Route): void {
  const authorizers = read(plan, routeAuthorizersSlot);
  const origin = originOf(plan, routeAuthorizersSlot);
  if (!authorizers || !origin) return;
  const ask = ({ authorizer, path }: AskedAuthorizer): Any =>
    perRoute(authorizer, originId({ ...origin, path }));
  const { rule, backends } = authorizers;
  if (rule) message.typedPerFilterConfig[ruleAuthorizer] = ask(rule);
  if (message.action.case !== 'route') return;
  const { clusterSpecifier } = message.action.value;
  if (clusterSpecifier.case === 'cluster' && backends[0])
    message.typedPerFilterConfig[backendAuthorizer] = ask(backends[0]);
  if (clusterSpecifier.case !== 'weightedClusters') return;
  for (const [index, cluster] of clusterSpecifier.value.clusters.entries()) {
    const own = backends[index];
    if (own) cluster.typedPerFilterConfig[backendAuthorizer] = ask(own);
  }
}

/** Named by who wants it: so a simulation knows, and Envoy's filter state tells. */
function perRoute(authorizer: Authorizer, name: string): Any {
  const typedConfig = create(TypedExtensionConfigSchema, {
    name,
    typedConfig: pack(ExtAuthzSchema, externalAuthorizer(authorizer)),
  });
  return pack(CompositePerRouteSchema, {
    matcher: {
      onNoMatch: {
        onMatch: {
          case: 'action',
          value: { name: 'ask', typedConfig: pack(ExecuteFilterActionSchema, { typedConfig }) },
        },
      },
    },
  });
}

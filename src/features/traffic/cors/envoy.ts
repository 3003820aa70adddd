import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  CorsPolicySchema,
  CorsSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { FractionalPercent_DenominatorType } from '../../../../gen/proto/envoy/type/v3/percent_pb.js';
import { stringMatcher } from '../../../envoy/matcher.ts';
import { pack } from '../../../envoy/pack.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { corsSlot } from './schema.ts';

const name = 'envoy.filters.http.cors';
const idle: HttpFilterFragment = { name, config: pack(CorsSchema, {}), disabled: true };

/** Off unless a route turns it on, as for faults. */
export function httpFilters(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  return chain.network.type === 'http' && chain.direction !== 'inbound' ? [idle] : [];
}

export function emitRoute(plan: RoutePlan, message: Route): void {
  const cors = read(plan, corsSlot);
  if (!cors) return;
  message.typedPerFilterConfig[name] = pack(CorsPolicySchema, {
    allowOriginStringMatch: cors.origins.map(stringMatcher),
    allowMethods: cors.methods.join(','),
    allowHeaders: cors.headers.join(','),
    exposeHeaders: cors.exposeHeaders.join(','),
    ...(cors.maxAgeSeconds !== undefined ? { maxAge: String(cors.maxAgeSeconds) } : {}),
    ...(cors.credentials !== undefined ? { allowCredentials: cors.credentials } : {}),
    filterEnabled: {
      defaultValue: { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED },
    },
    forwardNotMatchingPreflights: cors.forwardUnmatched,
  });
}

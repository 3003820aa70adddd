import type { VirtualServiceHttpCorsPolicy } from '../../../../gen/crd/types/istio/virtual-service.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RoutePlan, TextMatch } from '../../../plan/route-plan.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { httpRouteSlot } from '../virtual-service/schema.ts';
import { type CorsPlan, corsSlot } from './schema.ts';

export function decorateRoute(_: View, route: RoutePlan): void {
  const policy = read(route, httpRouteSlot)?.corsPolicy;
  const origin = originOf(route, httpRouteSlot);
  if (policy && origin)
    fill(route, corsSlot, planCors(policy), { ...origin, path: `${origin.path}.corsPolicy` });
}

export function planCors(policy: VirtualServiceHttpCorsPolicy): CorsPlan {
  const maxAge = parseDuration(policy.maxAge);
  return {
    origins: [...allowedOrigins(policy), ...(policy.allowOrigin ?? []).map(legacyOrigin)],
    methods: policy.allowMethods ?? [],
    headers: policy.allowHeaders ?? [],
    exposeHeaders: policy.exposeHeaders ?? [],
    ...(maxAge === undefined ? {} : { maxAgeSeconds: Math.round(maxAge / 1000) }),
    ...(policy.allowCredentials === undefined || policy.allowCredentials === null
      ? {}
      : { credentials: policy.allowCredentials }),
    forwardUnmatched: policy.unmatchedPreflights !== 'IGNORE',
  };
}

function allowedOrigins(policy: VirtualServiceHttpCorsPolicy): TextMatch[] {
  return (policy.allowOrigins ?? []).flatMap((origin): TextMatch[] => {
    if (origin.exact !== undefined) return [{ exact: origin.exact }];
    if (origin.prefix !== undefined) return [{ prefix: origin.prefix }];
    return origin.regex === undefined ? [] : [{ regex: origin.regex }];
  });
}

/** The deprecated list of exact origins, in which `*` stands for any. */
function legacyOrigin(origin: string): TextMatch {
  return origin === '*' ? { regex: '.*' } : { exact: origin };
}

import { parseClusterName } from '../../../plan/names.ts';
import type { RoutePlan, VirtualHostPlan } from '../../../plan/route-plan.ts';
import { usedClustersSlot } from '../../../plan/route-plan.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { destinationCluster, type HttpRoute, httpRouteSlot } from '../virtual-service/schema.ts';
import { type MirrorPlan, mirrorSlot } from './schema.ts';

/** Copies of requests; the answers are dropped. A share of zero asks for none. */
export function decorateRoute(view: View, route: RoutePlan): void {
  const http = read(route, httpRouteSlot);
  const origin = originOf(route, httpRouteSlot);
  if (!http || !origin || (!http.mirror && !http.mirrors) || route.action.type !== 'forward') return;
  const port = parseClusterName(route.action.destinations[0]?.cluster ?? '')?.port ?? 0;
  const mirrors = planMirrors(view, http, origin.namespace, port);
  if (mirrors.length > 0)
    fill(route, mirrorSlot, mirrors, {
      ...origin,
      path: `${origin.path}.${http.mirror ? 'mirror' : 'mirrors'}`,
    });
}

function planMirrors(view: View, http: HttpRoute, namespace: string, port: number): MirrorPlan[] {
  const wanted = http.mirror
    ? [
        {
          destination: http.mirror,
          percent: http.mirrorPercentage
            ? (http.mirrorPercentage.value ?? 0)
            : (http.mirrorPercent ?? http.mirror_percent ?? 100),
        },
      ]
    : (http.mirrors ?? []).map((mirror) => ({
        destination: mirror.destination,
        percent: mirror.percentage ? (mirror.percentage.value ?? 0) : 100,
      }));
  return wanted
    .filter(({ percent }) => percent > 0)
    .map(({ destination, percent }) => ({
      cluster: destinationCluster(view, destination, namespace, port),
      percent,
    }));
}

/** Mirrored clusters must be there before the host is. */
export function decorateVirtualHost(_: View, host: VirtualHostPlan): void {
  const clusters = host.routes.flatMap((route) =>
    (read(route, mirrorSlot) ?? []).map((mirror) => mirror.cluster),
  );
  if (clusters.length > 0) fill(host, usedClustersSlot, clusters, host.origin);
}

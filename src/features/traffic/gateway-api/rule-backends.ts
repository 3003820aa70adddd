import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type RouteId, routeObject, splitId } from './kinds.ts';

interface Rules {
  readonly rules?: readonly {
    readonly backendRefs?: readonly {
      readonly kind?: string;
      readonly name: string;
      readonly namespace?: string;
    }[];
  }[];
}

const poolsByRoute = defineQuery('gateway-api.pools-of-route', (view, route: Key): readonly Key[] => {
  const { namespace } = splitId(route);
  const { rules = [] } = (routeObject(view, route)?.spec ?? {}) as Rules;
  const refs = rules.flatMap(({ backendRefs = [] }) => backendRefs);
  const pools = refs.filter(({ kind }) => kind === 'InferencePool');
  return [...new Set(pools.map((ref) => `${ref.namespace || namespace}/${ref.name}`))].sort();
});

/** The inference pools (`namespace/name`) that a route names as backends. */
export function poolsOfRoute(view: View, route: RouteId): readonly Key[] {
  return view.call(poolsByRoute, route);
}

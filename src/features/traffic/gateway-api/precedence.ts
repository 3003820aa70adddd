import { compareText } from '../../../kit/maps.ts';
import type { PathMatch, RouteMatch, RoutePlan } from '../../../plan/route-plan.ts';

/** A route entry with what its place among the entries of a host is decided by. */
export interface RankedRoute {
  readonly plan: RoutePlan;
  /** Of the object, see `ageOrder`. */
  readonly age: string;
}

const byType: Readonly<Record<PathMatch['type'], number>> = {
  exact: 3,
  prefix: 2,
  'path-prefix': 2,
  regex: 1,
  connect: 0,
};

/** Larger first, in this order. */
function weights({ path, headers, queryParams }: RouteMatch): number[] {
  const method = headers.some(({ name }) => name === ':method');
  return [
    byType[path.type],
    'value' in path ? path.value.length : 0,
    method ? 1 : 0,
    headers.length - (method ? 1 : 0),
    queryParams.length,
  ];
}

/**
 * The Gateway API's order of matches: exact path, longer prefix, method, more headers, more query parameters, older route, name; then
 * the order of writing, which a stable sort keeps.
 * @see https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
 */
export function inOrderOfPrecedence(routes: readonly RankedRoute[]): RoutePlan[] {
  const keyed = routes.map((route) => ({ route, weights: weights(route.plan.match) }));
  keyed.sort((a, b) => {
    for (const [at, weight] of a.weights.entries()) {
      const difference = (b.weights[at] ?? 0) - weight;
      if (difference !== 0) return difference;
    }
    return compareText(a.route.age, b.route.age);
  });
  return keyed.map(({ route }) => route.plan);
}

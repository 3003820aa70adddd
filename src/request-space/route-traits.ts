import type { Duration } from '@bufbuild/protobuf/wkt';
import type { Route, RouteAction } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';

const known = new WeakMap<Route, Readonly<Record<string, string>>>();

/** What a route does to requests beside choosing their destination, in short words by kind. */
export function routeTraits(route: Route): Readonly<Record<string, string>> {
  let found = known.get(route);
  if (!found) {
    found = traitsOf(route);
    known.set(route, found);
  }
  return found;
}

function traitsOf(route: Route): Record<string, string> {
  const added = route.responseHeadersToAdd.map(({ header }) => `${header?.key}: ${header?.value}`);
  const removed = route.responseHeadersToRemove.map((name) => `without ${name}`);
  const responses = [...added, ...removed].join(', ');
  return {
    ...(responses === '' ? {} : { 'response headers': responses }),
    ...(route.action.case === 'route' ? actionTraits(route.action.value) : {}),
  };
}

function actionTraits(action: RouteAction): Record<string, string> {
  const { timeout, retryPolicy: retry, requestMirrorPolicies: mirrors } = action;
  const traits: Record<string, string> = {};
  const limit = milliseconds(timeout);
  if (limit !== undefined && limit > 0) traits.timeout = `${limit} ms`;
  if (retry && (retry.numRetries ?? 1) > 0) {
    const each = milliseconds(retry.perTryTimeout);
    traits.retries = `${retry.numRetries ?? 1}${each ? `, ${each} ms each` : ''}, on ${retry.retryOn}`;
  }
  if (mirrors.length > 0)
    traits.mirror = mirrors
      .map(({ cluster, runtimeFraction }) => `${cluster}${share(runtimeFraction?.defaultValue)}`)
      .join(', ');
  return traits;
}

function share(part: { readonly numerator: number; readonly denominator: number } | undefined): string {
  if (!part) return '';
  const percent = (part.numerator * 100) / ([100, 10_000, 1_000_000][part.denominator] ?? 100);
  return percent === 100 ? '' : ` (${percent} %)`;
}

function milliseconds(duration: Duration | undefined): number | undefined {
  return duration ? Number(duration.seconds) * 1000 + duration.nanos / 1e6 : undefined;
}

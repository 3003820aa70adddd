import type { HTTPRouteSpec } from '../../gen/crd/types/gateway-api/http-route.ts';
import type { RequestAuthenticationSpec } from '../../gen/crd/types/istio/request-authentication.ts';
import { splitKey } from '../config/object.ts';
import { configKind, servicesByHost } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import { defineIndex } from '../snapshot/world.ts';

const requestAuthenticationKind = configKind<RequestAuthenticationSpec>('RequestAuthentication');

/** RequestAuthentications whose keys are fetched from somewhere, under ''. */
const fetching = defineIndex('request-authentications-fetching', requestAuthenticationKind, ({ spec }) =>
  spec?.jwtRules?.some(({ jwksUri }) => jwksUri) ? [''] : [],
);

const keyHosts = defineQuery('pinned.key-hosts', (view, key: Key): readonly string[] =>
  (view.get(requestAuthenticationKind, key)?.spec?.jwtRules ?? []).flatMap(({ jwksUri }) => {
    const host = /^https?:\/\/([^/:?#]+)/i.exec(jwksUri ?? '')?.[1];
    return host ? [host.toLowerCase()] : [];
  }),
);

const httpRouteKind = configKind<HTTPRouteSpec>('HTTPRoute');

/** HTTPRoutes that ask an authorization server, under ''. */
const asking = defineIndex('http-routes-asking', httpRouteKind, ({ spec }) =>
  spec && askedNames(spec).length > 0 ? [''] : [],
);

/** `namespace/name` of the Services that a route asks; without a namespace, the route's own. */
function askedNames({ rules = [] }: HTTPRouteSpec): string[] {
  const filters = rules.flatMap((rule) => [
    ...(rule.filters ?? []),
    ...(rule.backendRefs ?? []).flatMap((ref) => ref.filters ?? []),
  ]);
  return filters.flatMap(({ externalAuth }) =>
    externalAuth ? [`${externalAuth.backendRef.namespace ?? ''}/${externalAuth.backendRef.name}`] : [],
  );
}

const askedHosts = defineQuery('pinned.asked-hosts', (view, key: Key): readonly string[] => {
  const route = view.get(httpRouteKind, key);
  const own = route?.metadata.namespace ?? 'default';
  return askedNames(route?.spec ?? {}).map((asked) => {
    const { namespace, name } = splitKey(asked);
    return `${name}.${namespace || own}.svc.${view.mesh('domainSuffix')}`;
  });
});

/**
 * Services that proxies call on their own account, whatever their applications may see: extension providers of the mesh
 * (authorization, tracing, access logs, rate limits), issuers of keys and authorization servers that routes ask. Sorted; the same for every proxy.
 */
export const pinnedHosts = defineQuery('pinned.hosts', (view): readonly string[] => {
  const found = new Set<string>();
  for (const { name: _, ...settings } of view.mesh('extensionProviders'))
    for (const inner of Object.values(settings)) {
      const service = (inner as { service?: unknown } | null)?.service;
      if (typeof service === 'string') found.add(service.slice(service.indexOf('/') + 1).toLowerCase());
    }
  for (const key of view.list(fetching, '')) for (const host of view.call(keyHosts, key)) found.add(host);
  for (const key of view.list(asking, '')) for (const host of view.call(askedHosts, key)) found.add(host);
  return [...found].filter((host) => view.list(servicesByHost, host).length > 0).sort();
});

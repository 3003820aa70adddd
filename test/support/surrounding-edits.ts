import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { type HelloMesh, networkingObject } from './hello-mesh.ts';

/*
 * Edits of what surrounds a probed request: policies that let it in, scopes that hold its destination, filters that change nothing of it.
 */

/** By kind: draws an edit. */
export type SurroundingEdits = Readonly<
  Record<
    'policies' | 'mutual TLS' | 'sidecars' | 'hosts outside' | 'filters' | 'API routes',
    (mesh: HelloMesh, random: Random) => () => Promise<void>
  >
>;

const ofHello = { selector: { matchLabels: { app: 'helloworld' } } };

function security(kind: string, name: string, spec: Record<string, unknown>): ConfigObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind,
    metadata: { name, namespace: 'default' },
    spec: { ...ofHello, ...spec },
  };
}

const policy = (name: string, spec: Record<string, unknown>) => security('AuthorizationPolicy', name, spec);

/** All who call helloworld here may, by every one of these. */
const allowing = [
  { to: [{ operation: { paths: ['/hello', '/health'] } }] },
  { to: [{ operation: { methods: ['GET'] } }] },
  { from: [{ source: { namespaces: ['default', 'istio-system'] } }] },
  { from: [{ source: { principals: ['*'] } }] },
];

const sleepOnly = { workloadSelector: { labels: { app: 'sleep' } } };

const lua = (mark: number) => ({
  name: 'edit',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
    default_source_code: {
      inline_string: `function envoy_on_response(handle) handle:headers():add("x-mark", "${mark}") end`,
    },
  },
});

const filterObject = (spec: Record<string, unknown>): ConfigObject => ({
  ...networkingObject('EnvoyFilter', 'surrounding', spec),
  apiVersion: 'networking.istio.io/v1alpha3',
});

function filter(random: Random): ConfigObject {
  const context = random.pick(['SIDECAR_INBOUND', 'SIDECAR_OUTBOUND']);
  return filterObject({
    workloadSelector: { labels: { app: 'helloworld' } },
    configPatches: [
      {
        applyTo: 'HTTP_FILTER',
        match: {
          context,
          listener: {
            filterChain: {
              filter: {
                name: 'envoy.filters.network.http_connection_manager',
                subFilter: { name: 'envoy.filters.http.router' },
              },
            },
          },
        },
        patch: { operation: 'INSERT_BEFORE', value: lua(random.below(3)) },
      },
    ],
  });
}

function outside(random: Random): ConfigObject {
  const resolution = random.pick(['NONE', 'DNS', 'DYNAMIC_DNS']);
  return networkingObject('ServiceEntry', 'surrounding', {
    hosts: [resolution === 'DYNAMIC_DNS' ? '*.localhost' : 'surrounding.localhost'],
    ports: [
      { number: 80, name: 'http', protocol: 'HTTP' },
      // By its name alone a connection must be known.
      ...(random.chance(0.5) && resolution !== 'DYNAMIC_DNS'
        ? [{ number: 5432, name: 'tcp', protocol: 'TCP' }]
        : []),
    ],
    resolution,
  });
}

const routeObject = (spec: Record<string, unknown>): ConfigObject => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'surrounding', namespace: 'default' },
  spec,
});

function apiRoute(random: Random): ConfigObject {
  const set = [{ name: 'x-mark', value: String(random.below(9)) }];
  const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set } }];
  return routeObject({
    parentRefs: [{ group: '', kind: 'Service', name: 'httpbin', port: 8000 }],
    rules: [{ ...(random.chance(0.5) ? { filters } : {}), backendRefs: [{ name: 'httpbin', port: 8000 }] }],
  });
}

export const surroundingEdits: SurroundingEdits = {
  policies: (mesh, random) =>
    random.pick([
      () =>
        mesh.apply(
          policy('callers', { action: 'ALLOW', rules: [random.pick(allowing), random.pick(allowing)] }),
        ),
      () =>
        mesh.apply(
          policy('nobody', {
            action: 'DENY',
            rules: [{ to: [{ operation: { paths: [random.pick(['/never', '/nowhere/*'])] } }] }],
          }),
        ),
      () => mesh.remove(policy(random.pick(['callers', 'nobody']), {})),
    ]),
  'mutual TLS': (mesh, random) =>
    random.pick([
      () =>
        mesh.apply(
          security('PeerAuthentication', 'demanded', {
            mtls: { mode: random.pick(['STRICT', 'PERMISSIVE']) },
          }),
        ),
      () => mesh.remove(security('PeerAuthentication', 'demanded', {})),
    ]),
  sidecars: (mesh, random) =>
    random.pick([
      () =>
        mesh.apply(
          networkingObject('Sidecar', 'scope', {
            ...sleepOnly,
            egress: [{ hosts: random.pick([['./*'], ['*/*'], ['./*', 'istio-system/*']]) }],
            ...(random.chance(0.5)
              ? { outboundTrafficPolicy: { mode: random.pick(['ALLOW_ANY', 'REGISTRY_ONLY']) } }
              : {}),
          }),
        ),
      () => mesh.remove(networkingObject('Sidecar', 'scope', {})),
    ]),
  'hosts outside': (mesh, random) =>
    random.pick([
      () => mesh.apply(outside(random)),
      () => mesh.apply(outside(random)),
      () => mesh.remove(networkingObject('ServiceEntry', 'surrounding', {})),
    ]),
  filters: (mesh, random) =>
    random.pick([() => mesh.apply(filter(random)), () => mesh.remove(filterObject({}))]),
  'API routes': (mesh, random) =>
    random.pick([
      () => mesh.apply(apiRoute(random)),
      () => mesh.apply(apiRoute(random)),
      () => mesh.remove(routeObject({})),
    ]),
};

/** Nothing surrounds helloworld any more. */
export async function clearSurroundings(mesh: HelloMesh): Promise<void> {
  await mesh.remove(
    policy('callers', {}),
    policy('nobody', {}),
    security('PeerAuthentication', 'demanded', {}),
    networkingObject('Sidecar', 'scope', {}),
    networkingObject('ServiceEntry', 'surrounding', {}),
    filterObject({}),
    routeObject({}),
  );
}

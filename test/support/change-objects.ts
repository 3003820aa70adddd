import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { deployment, httpService, meshSettings, namespaceObject, objectOf, secret } from './change-mesh.ts';
import { gatewayOfApi, grpcRoute, httpRoute } from './gateway-api-arbitrary.ts';
import { authorizationPolicy, peerAuthentication, requestAuthentication } from './security-arbitrary.ts';
import { delegate, destinationRule, gateway, sidecar, virtualService } from './traffic-arbitrary.ts';

/*
 * One object of each kind that has a say in what becomes of requests, out of few names, so that they meet and replace each other.
 */

const networking = 'networking.istio.io/v1';
const jwks = JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'one' }] });

const maybe = (random: Random, p: number, part: () => object) => (random.chance(p) ? part() : {});

function serviceEntry(random: Random): ConfigObject {
  const entry = (name: string, spec: object) =>
    objectOf(networking, 'ServiceEntry', name, 'shop', {
      spec: { ...spec, ...maybe(random, 0.2, () => ({ exportTo: [random.pick(['.', 'bank', '*'])] })) },
    });
  const http = [
    { number: 80, name: 'http', protocol: 'HTTP' },
    ...(random.chance(0.5) ? [{ number: 8080, name: 'http-more', protocol: 'HTTP' }] : []),
  ];
  return random.pick([
    entry('api-example', {
      hosts: ['api.example.com'],
      location: random.pick(['MESH_INTERNAL', 'MESH_EXTERNAL']),
      resolution: random.pick(['DNS', 'NONE']),
      ports: http,
    }),
    entry('api-example', {
      hosts: ['api.example.com'],
      location: random.pick(['MESH_INTERNAL', 'MESH_EXTERNAL']),
      resolution: 'STATIC',
      ports: http,
      endpoints: random
        .pick([['10.244.9.9'], ['10.244.9.9', '10.244.9.8'], []])
        .map((address) => ({ address, labels: { version: random.pick(['v1', 'v2']) } })),
    }),
    entry('api-example', {
      hosts: ['api.example.com'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 8000 }],
      workloadSelector: { labels: { app: random.pick(['plain', 'cart']) } },
    }),
    entry('files', {
      hosts: [random.pick(['files.example.net', '*.example.net'])],
      location: 'MESH_EXTERNAL',
      resolution: random.pick(['NONE', 'DNS']),
      ports: [{ number: 443, name: 'tls', protocol: random.pick(['TLS', 'HTTPS']) }],
    }),
    entry('raw', {
      hosts: ['raw.example.net'],
      addresses: ['192.0.2.7'],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9000, name: 'tcp', protocol: 'TCP' }],
      endpoints: [{ address: '192.0.2.8' }],
    }),
  ]);
}

function workloadEntry(random: Random): ConfigObject {
  return objectOf(networking, 'WorkloadEntry', `vm${random.below(2)}`, 'shop', {
    spec: {
      address: random.pick(['10.9.0.1', '10.9.0.2']),
      labels: {
        app: random.pick(['web', 'cart', 'vm']),
        version: random.pick(['v1', 'v2']),
        ...maybe(random, 0.5, () => ({ 'security.istio.io/tlsMode': 'istio' })),
      },
      serviceAccount: random.pick(['web', 'client']),
    },
  });
}

function service(random: Random): ConfigObject {
  const ports = random.pick([
    [{ name: 'http', port: 80, targetPort: 8000 }],
    [
      { name: random.pick(['http', 'tcp']), port: 80, targetPort: 8000 },
      { name: 'http-more', port: 8080, targetPort: 8001 },
    ],
    [
      { name: 'grpc', port: 7070, targetPort: 7070 },
      { name: 'tcp-raw', port: 9000, targetPort: 9000 },
    ],
  ]);
  const [name, namespace] = random.pick([
    ['web', 'shop'],
    ['cart', 'shop'],
    ['web', 'bank'],
    ['fresh', 'shop'],
  ] as const);
  const plain = httpService(name, namespace, random.pick([name, 'web', 'cart']));
  const spec = plain.spec as Record<string, unknown>;
  return { ...plain, spec: { ...spec, ports, ...maybe(random, 0.15, () => ({ clusterIP: 'None' })) } };
}

function workload(random: Random): ConfigObject {
  const [name, namespace, labels, account] = random.pick([
    ['web-v1', 'shop', { app: 'web', version: 'v1' }, 'web'],
    ['web-v3', 'shop', { app: 'web', version: 'v3' }, 'web'],
    ['cart-v1', 'shop', { app: 'cart', version: random.pick(['v1', 'v2']) }, 'cart'],
    ['client', 'shop', { app: random.pick(['client', 'other']) }, 'client'],
    ['client', 'bank', { app: 'client' }, 'teller'],
  ] as const);
  return deployment(
    name,
    namespace,
    { ...labels },
    random.chance(0.7) ? account : random.pick(['client', 'web']),
    random.chance(0.8),
  );
}

function destinationPolicy(random: Random): ConfigObject {
  const spec = random.pick([
    { tls: { mode: random.pick(['DISABLE', 'ISTIO_MUTUAL', 'SIMPLE']) } },
    {
      outlierDetection: { consecutive5xxErrors: 3 },
      loadBalancer: {
        localityLbSetting: { enabled: true, failoverPriority: ['topology.kubernetes.io/region'] },
      },
    },
    { connectionPool: { http: { h2UpgradePolicy: 'UPGRADE' } } },
    { portLevelSettings: [{ port: { number: 80 }, tls: { mode: 'DISABLE' } }] },
  ]);
  const subsets = random.chance(0.5)
    ? [{ name: 'v1', labels: { version: 'v1' }, ...maybe(random, 0.3, () => ({ trafficPolicy: spec })) }]
    : undefined;
  const hosts = ['web.shop.svc.cluster.local', 'cart.shop.svc.cluster.local', '*.local', 'api.example.com'];
  return objectOf(
    networking,
    'DestinationRule',
    `rule${random.below(4)}`,
    random.pick(['shop', 'bank', 'istio-system']),
    {
      spec: { host: random.pick(hosts), trafficPolicy: spec, ...(subsets ? { subsets } : {}) },
    },
  );
}

function envoyFilter(random: Random): ConfigObject {
  const context = random.pick(['SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'ANY']);
  const type = 'type.googleapis.com/envoy.extensions.filters.http';
  const lua = {
    name: 'envoy.filters.http.lua',
    typed_config: {
      '@type': `${type}.lua.v3.Lua`,
      default_source_code: { inline_string: 'function envoy_on_request(h) end' },
    },
  };
  const limit = {
    name: 'envoy.filters.http.local_ratelimit',
    typed_config: { '@type': `${type}.local_ratelimit.v3.LocalRateLimit`, stat_prefix: 'x' },
  };
  const patches = [
    {
      applyTo: 'HTTP_FILTER',
      match: { context },
      patch: { operation: 'INSERT_FIRST', value: random.pick([lua, limit]) },
    },
    {
      applyTo: 'HTTP_ROUTE',
      match: { context },
      patch: {
        operation: 'MERGE',
        value: random.pick([{ route: { timeout: '7s' } }, { request_headers_to_remove: ['x-user'] }]),
      },
    },
    {
      applyTo: 'CLUSTER',
      match: { context },
      patch: { operation: 'MERGE', value: { connect_timeout: '3s' } },
    },
    { applyTo: 'VIRTUAL_HOST', match: { context }, patch: { operation: 'REMOVE' } },
    {
      applyTo: 'HTTP_FILTER',
      match: {
        context,
        listener: {
          filterChain: {
            filter: {
              name: 'envoy.filters.network.http_connection_manager',
              subFilter: { name: 'envoy.filters.http.rbac' },
            },
          },
        },
      },
      patch: { operation: 'REMOVE' },
    },
  ];
  return objectOf(
    'networking.istio.io/v1alpha3',
    'EnvoyFilter',
    'patch',
    random.pick(['shop', 'istio-system']),
    {
      spec: { configPatches: [random.pick(patches)] },
    },
  );
}

function ingress(random: Random): ConfigObject {
  const backend = (name: string) => ({ service: { name, port: { number: 80 } } });
  return objectOf('networking.k8s.io/v1', 'Ingress', 'front', 'shop', {
    spec: {
      ingressClassName: 'istio',
      rules: [
        {
          ...maybe(random, 0.7, () => ({
            host: random.pick(['api.example.com', '*.example.com', 'shop.test']),
          })),
          http: {
            paths: Array.from({ length: 1 + random.below(2) }, () => ({
              path: random.pick(['/', '/a', '/b']),
              pathType: random.pick(['Prefix', 'Exact']),
              backend: backend(random.pick(['web', 'cart', 'nobody'])),
            })),
          },
        },
      ],
      ...maybe(random, 0.3, () => ({ tls: [{ hosts: ['api.example.com'], secretName: 'front' }] })),
      ...maybe(random, 0.3, () => ({ defaultBackend: backend('cart') })),
    },
  });
}

function layer4(random: Random): ConfigObject {
  const to = random.pick(['cart.shop.svc.cluster.local', 'raw.example.net', 'nobody']);
  const tcp = {
    hosts: ['cart.shop.svc.cluster.local'],
    tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host: to, port: { number: 9000 } } }] }],
  };
  const tls = {
    hosts: ['files.example.net'],
    tls: [
      {
        match: [{ port: 443, sniHosts: ['files.example.net'] }],
        route: [
          {
            destination: {
              host: random.pick(['files.example.net', 'api.example.com']),
              port: { number: 443 },
            },
          },
        ],
      },
    ],
  };
  return objectOf(networking, 'VirtualService', 'lower', 'shop', { spec: random.pick([tcp, tls]) });
}

function policy(random: Random): ConfigObject {
  const made = authorizationPolicy(random, random.below(3));
  const spec = made.spec as { action?: string };
  if (spec.action !== 'CUSTOM' || random.chance(0.3)) return made;
  return { ...made, spec: { ...spec, provider: { name: 'gate' } } };
}

const settings = (random: Random) =>
  meshSettings(
    random.pick([
      'outboundTrafficPolicy: { mode: REGISTRY_ONLY }',
      'defaultConfig: { holdApplicationUntilProxyStarts: true }',
      'enableAutoMtls: false',
      'pathNormalization: { normalization: MERGE_SLASHES }',
    ]),
  );

/** Every kind, once in a list: changes are drawn from it evenly. */
export const drawObject: readonly ((random: Random) => ConfigObject)[] = [
  (random) => virtualService(random, random.below(4)),
  (random) => virtualService(random, random.below(4)),
  (random) => delegate(random, random.below(3)),
  layer4,
  (random) => destinationRule(random, random.below(4)),
  destinationPolicy,
  (random) =>
    random.chance(0.7) ? gateway(random, 'front', 'istio-system') : gateway(random, 'side', 'shop'),
  sidecar,
  serviceEntry,
  workloadEntry,
  service,
  workload,
  policy,
  policy,
  (random) => peerAuthentication(random, random.below(2)),
  (random) => requestAuthentication(random, random.below(2), jwks),
  gatewayOfApi,
  (random) => httpRoute(random, random.below(3)),
  (random) => grpcRoute(random, random.below(2)),
  ingress,
  envoyFilter,
  settings,
  (random) => namespaceObject(random.pick(['shop', 'bank']), random.chance(0.5)),
  secret,
];

/** Objects of a mesh that changes begin with: some of most kinds. */
export function drawMesh(random: Random): ConfigObject[] {
  const rare = new Set<unknown>([envoyFilter, ingress, settings, sidecar, service, workload]);
  return drawObject.flatMap((draw) => {
    const p = rare.has(draw) ? 0.12 : 0.45;
    return Array.from({ length: 2 }, () => (random.chance(p) ? [draw(random)] : [])).flat();
  });
}

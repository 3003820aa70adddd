import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { maybe } from './draw.ts';

/*
 * Routes of the Gateway API, on a Gateway and in the mesh, out of the words of traffic-arbitrary.ts.
 */

function object(random: Random, kind: string, name: string, namespace: string, spec: object): ConfigObject {
  const creationTimestamp = random.pick(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']);
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind,
    metadata: { name, namespace, creationTimestamp },
    spec: spec as Record<string, unknown>,
  };
}

/** Served by the workload that the harness labels with its name. */
export const apiGateway = 'api';
export const apiPorts = [81, 444] as const;

export function gatewayOfApi(random: Random): ConfigObject {
  return object(random, 'Gateway', apiGateway, 'istio-system', {
    gatewayClassName: 'istio',
    listeners: [
      {
        name: 'http',
        port: 81,
        protocol: 'HTTP',
        ...maybe(random, 0.3, () => ({ hostname: random.pick(['*.example.com', 'api.example.com']) })),
        allowedRoutes: { namespaces: { from: random.pick(['All', 'All', 'All', 'Same']) } },
      },
      {
        name: 'https',
        port: 444,
        protocol: 'HTTPS',
        ...maybe(random, 0.5, () => ({ hostname: random.pick(['*.example.com', 'api.example.com']) })),
        tls: { certificateRefs: [{ name: 'front' }] },
        allowedRoutes: { namespaces: { from: 'All' } },
      },
    ],
  });
}

function parents(random: Random): object[] {
  const toGateway = {
    name: apiGateway,
    namespace: 'istio-system',
    ...maybe(random, 0.3, () => ({ sectionName: random.pick(['http', 'https']) })),
  };
  const toService = {
    group: '',
    kind: 'Service',
    name: random.pick(['web', 'cart']),
    namespace: 'shop',
    ...maybe(random, 0.4, () => ({ port: random.pick([80, 8080]) })),
  };
  const toEntry = {
    group: 'networking.istio.io',
    kind: 'ServiceEntry',
    name: 'api-example',
    namespace: 'shop',
  };
  return random.pick([[toGateway], [toGateway], [toService], [toService], [toEntry], [toGateway, toService]]);
}

function backend(random: Random): object {
  const ref = random.pick([
    { kind: 'Service', name: 'web' },
    { kind: 'Service', name: 'cart' },
    { kind: 'Service', name: random.pick(['web', 'nobody']) },
    { group: 'networking.istio.io', kind: 'Hostname', name: 'api.example.com' },
  ]);
  return {
    ...ref,
    port: random.pick([80, 80, 8080]),
    ...maybe(random, 0.4, () => ({ weight: random.pick([0, 1, 50]) })),
    ...maybe(random, 0.1, () => ({ filters: [headerModifier(random)] })),
  };
}

function headerModifier(random: Random): object {
  return {
    type: 'RequestHeaderModifier',
    requestHeaderModifier: random.pick([
      { set: [{ name: 'x-from', value: 'api' }] },
      { add: [{ name: 'x-from', value: 'more' }], remove: ['x-user'] },
    ]),
  };
}

const pathMatches = [
  { type: 'Exact', value: '/a' },
  { type: 'PathPrefix', value: '/' },
  { type: 'PathPrefix', value: '/a' },
  { type: 'PathPrefix', value: '/a/' },
  { type: 'PathPrefix', value: '/b' },
  { type: 'RegularExpression', value: '/[ab].*' },
];

function httpMatch(random: Random): object {
  return {
    ...maybe(random, 0.7, () => ({ path: random.pick(pathMatches) })),
    ...maybe(random, 0.25, () => ({ headers: [headerMatch(random)] })),
    ...maybe(random, 0.15, () => ({ queryParams: [{ name: 'v', value: random.pick(['1', '22']) }] })),
    ...maybe(random, 0.15, () => ({ method: random.pick(['GET', 'POST']) })),
  };
}

function headerMatch(random: Random): object {
  return random.pick([
    { name: 'x-user', value: 'ann' },
    { name: 'X-User', type: 'RegularExpression', value: 'a.*' },
  ]);
}

function filters(random: Random): object[] {
  const kind = random.below(8);
  if (kind === 0)
    return [
      {
        type: 'RequestRedirect',
        requestRedirect: {
          ...random.pick([
            { scheme: 'https' },
            { hostname: 'there.example.com' },
            { port: 8443 },
            { path: { type: 'ReplaceFullPath', replaceFullPath: '/elsewhere' } },
          ]),
          ...maybe(random, 0.5, () => ({ statusCode: random.pick([301, 302, 303, 307, 308]) })),
        },
      },
    ];
  if (kind === 1)
    return [
      {
        type: 'URLRewrite',
        urlRewrite: random.pick([
          { hostname: 'rewritten.example.com' },
          { path: { type: 'ReplaceFullPath', replaceFullPath: '/new' } },
        ]),
      },
    ];
  if (kind === 2) return [headerModifier(random)];
  if (kind === 3)
    return [{ type: 'CORS', cors: { allowOrigins: ['https://shop.example'], allowMethods: ['GET'] } }];
  return [];
}

export function httpRoute(random: Random, index: number): ConfigObject {
  return object(random, 'HTTPRoute', `http${index}`, random.pick(['shop', 'shop', 'bank']), {
    parentRefs: parents(random),
    ...maybe(random, 0.5, () => ({
      hostnames: [
        random.pick(['api.example.com', '*.example.com', 'web.shop.svc.cluster.local', 'other.example.org']),
      ],
    })),
    rules: Array.from({ length: 1 + random.below(3) }, () => {
      const chosen = filters(random);
      const answers = chosen.some((filter) => 'requestRedirect' in filter);
      return {
        ...maybe(random, 0.8, () => ({
          matches: Array.from({ length: 1 + random.below(2) }, () => httpMatch(random)),
        })),
        ...(chosen.length > 0 ? { filters: chosen } : {}),
        ...(answers
          ? {}
          : { backendRefs: Array.from({ length: random.below(4) === 0 ? 2 : 1 }, () => backend(random)) }),
      };
    }),
  });
}

export function grpcRoute(random: Random, index: number): ConfigObject {
  const methods = [{ service: 'shop.Cart' }, { service: 'shop.Cart', method: 'Add' }, { method: 'Add' }];
  return object(random, 'GRPCRoute', `grpc${index}`, 'shop', {
    parentRefs: parents(random),
    ...maybe(random, 0.3, () => ({ hostnames: ['api.example.com'] })),
    rules: Array.from({ length: 1 + random.below(2) }, () => ({
      ...maybe(random, 0.8, () => ({
        matches: [
          {
            ...maybe(random, 0.9, () => ({ method: random.pick(methods) })),
            ...maybe(random, 0.2, () => ({ headers: [headerMatch(random)] })),
          },
        ],
      })),
      backendRefs: [backend(random)],
    })),
  });
}

/** Routes of the Gateway API in about half of configurations. */
export function randomGatewayApi(random: Random): ConfigObject[] {
  if (random.chance(0.4)) return [];
  return [
    gatewayOfApi(random),
    ...Array.from({ length: 1 + random.below(3) }, (_, index) => httpRoute(random, index)),
    ...Array.from({ length: random.below(2) }, (_, index) => grpcRoute(random, index)),
  ];
}

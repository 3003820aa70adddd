import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';

/*
 * Traffic objects and requests out of one small vocabulary, so that they meet: conditions hold and do not, hosts are shared and shadowed,
 * references lead somewhere and nowhere.
 */

export const services = [
  { host: 'web.shop.svc.cluster.local', namespace: 'shop' },
  { host: 'cart.shop.svc.cluster.local', namespace: 'shop' },
  { host: 'web.bank.svc.cluster.local', namespace: 'bank' },
  { host: 'api.example.com', namespace: 'shop' },
] as const;
export const servicePorts = [80, 8080] as const;

export interface TrafficRequest {
  /** Where it comes in: at the listener of a service port, at the forward proxy, or at a gateway's port. */
  readonly entry: string;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const namespaces = ['shop', 'bank', 'istio-system'];
const versions = ['v1', 'v2'];
const hosts = [
  ...['web', 'cart', ...services.map(({ host }) => host)],
  ...['*.example.com', 'other.example.org', '*.bank.svc.cluster.local', '*.shop.svc.cluster.local'],
];
const authorities = [
  ...[
    'web',
    'web.shop',
    'web.shop.svc',
    'web.shop.svc.cluster.local',
    'WEB.shop',
    'cart',
    'web.bank',
    'api.example.com',
  ],
  ...['x.example.com', 'a.b.example.com', 'other.example.org', 'nowhere.test', 'localhost'],
];
const paths = [
  ...['/', '/a', '/a/', '/a/b', '/A/b', '/b', '/ab', '/v1/x', '/v22', '/a/../b', '/a/./b/'],
  ...['/a?v=1', '/b?v=x&w=', '/a/b?v', '/v1/x?v=22', '/?w=1&v=1'],
];

const maybe = <T extends object>(random: Random, p: number, part: () => T): T | Record<string, never> =>
  random.chance(p) ? part() : {};

function some<T>(random: Random, items: readonly T[], p: number): T[] {
  return items.filter(() => random.chance(p));
}

function object(
  random: Random,
  kind: string,
  name: string,
  namespace: string,
  spec: Record<string, unknown>,
): ConfigObject {
  const creationTimestamp = random.pick(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']);
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name, namespace, creationTimestamp },
    spec,
  };
}

const exportTo = (random: Random) =>
  maybe(random, 0.15, () => ({ exportTo: [random.pick(['*', '.', ...namespaces])] }));

function serviceEntry(
  random: Random,
  { host, namespace }: (typeof services)[number],
  backends: readonly number[],
): ConfigObject {
  const ports = [
    { number: 80, name: 'http', protocol: 'HTTP' },
    ...(random.chance(0.5) ? [{ number: 8080, name: 'http-more', protocol: 'HTTP' }] : []),
  ];
  const endpoints = some(random, [...backends.entries()], 0.6).map(([index, port]) => ({
    address: '127.0.0.1',
    ports: Object.fromEntries(ports.map(({ name }) => [name, port])),
    labels: { version: index < 2 ? 'v1' : 'v2' },
  }));
  return object(random, 'ServiceEntry', host.split('.').slice(0, 2).join('-'), namespace, {
    hosts: [host],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports,
    endpoints,
    ...exportTo(random),
  });
}

function destinationRule(random: Random, index: number): ConfigObject {
  const policies = [
    { loadBalancer: { simple: 'ROUND_ROBIN' } },
    { loadBalancer: { consistentHash: { httpHeaderName: 'x-user' } } },
    { connectionPool: { http: { http1MaxPendingRequests: 1000 } } },
    { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: 'RANDOM' } }] },
  ];
  return object(random, 'DestinationRule', `rule${index}`, random.pick(namespaces), {
    host: random.pick(hosts),
    ...maybe(random, 0.8, () => ({
      subsets: some(random, versions, 0.7).map((version) => ({
        name: version,
        labels: { version: random.chance(0.9) ? version : 'v9' },
        ...maybe(random, 0.3, () => ({ trafficPolicy: random.pick(policies) })),
      })),
    })),
    ...maybe(random, 0.4, () => ({ trafficPolicy: random.pick(policies) })),
    ...maybe(random, 0.15, () => ({
      workloadSelector: { matchLabels: { app: random.pick(['client', 'other']) } },
    })),
    ...exportTo(random),
  });
}

const texts = {
  uri: [
    ...[
      { exact: '/' },
      { exact: '/a' },
      { exact: '/a/b' },
      { prefix: '/' },
      { prefix: '/a' },
      { prefix: '/a/' },
    ],
    ...[
      { prefix: '/b' },
      { regex: '/a.*' },
      { regex: '/[ab]/?' },
      { regex: '.*' },
      { regex: '/v[0-9]+(/.*)?' },
    ],
  ],
  user: [{ exact: 'ann' }, { prefix: 'a' }, { regex: 'a.+' }, {}, { exact: '' }, { regex: '*' }],
  method: [{ exact: 'GET' }, { exact: 'POST' }, { prefix: 'P' }, { regex: 'GET|PUT' }],
  authority: [
    { exact: 'web' },
    { prefix: 'web' },
    { regex: '.*bank.*' },
    { exact: 'web.shop.svc.cluster.local' },
  ],
  scheme: [{ exact: 'http' }, { exact: 'https' }],
  query: [{ exact: '1' }, { regex: '\\d+' }, {}, { prefix: '2' }],
} as const;

const gatewayNames = ['mesh', 'istio-system/front', 'shop/side'];

function match(random: Random): object {
  return {
    ...maybe(random, 0.6, () => ({ uri: random.pick(texts.uri) })),
    ...maybe(random, 0.1, () => ({ ignoreUriCase: true })),
    ...maybe(random, 0.25, () => ({ headers: { 'x-user': random.pick(texts.user) } })),
    ...maybe(random, 0.15, () => ({ withoutHeaders: { 'x-user': random.pick(texts.user) } })),
    ...maybe(random, 0.15, () => ({ method: random.pick(texts.method) })),
    ...maybe(random, 0.1, () => ({ authority: random.pick(texts.authority) })),
    ...maybe(random, 0.05, () => ({ scheme: random.pick(texts.scheme) })),
    ...maybe(random, 0.15, () => ({ queryParams: { v: random.pick(texts.query) } })),
    ...maybe(random, 0.1, () => ({ port: random.pick(servicePorts) })),
    ...maybe(random, 0.1, () => ({ sourceLabels: { app: random.pick(['client', 'other']) } })),
    ...maybe(random, 0.08, () => ({ sourceNamespace: random.pick(namespaces) })),
    ...maybe(random, 0.12, () => ({ gateways: [random.pick(gatewayNames)] })),
    ...maybe(random, 0.2, () => ({ name: random.pick(['one', 'two']) })),
  };
}

function destination(random: Random): object {
  return {
    host: random.pick(random.chance(0.9) ? ['web', 'cart', ...services.map(({ host }) => host)] : ['nobody']),
    ...maybe(random, 0.35, () => ({ subset: random.pick(versions) })),
    ...maybe(random, 0.3, () => ({ port: { number: random.pick(servicePorts) } })),
  };
}

function headers(random: Random): object {
  return {
    request: random.pick([
      { set: { 'x-from': 'mesh' } },
      { add: { 'x-from': 'a%b' }, remove: ['x-user'] },
      { set: { Host: 'set.example.com' } },
    ]),
  };
}

function redirect(random: Random): object {
  return {
    ...random.pick([
      { uri: '/elsewhere' },
      { uri: '/elsewhere?q=1' },
      { authority: 'there.example.com' },
      { scheme: 'https' },
      { prefixRewrite: '/moved/' },
      { uri: '%PREFIX()%/kept' },
    ]),
    ...maybe(random, 0.3, () =>
      random.pick([{ port: 8443 }, { derivePort: 'FROM_REQUEST_PORT' }, { port: 443 }]),
    ),
    ...maybe(random, 0.4, () => ({ redirectCode: random.pick([302, 303, 307, 308]) })),
  };
}

function action(random: Random): object {
  const kind = random.below(10);
  if (kind === 0) return { redirect: redirect(random) };
  if (kind === 1)
    return { directResponse: { status: random.pick([200, 204, 404, 418]), body: { string: 'tea' } } };
  const route = random.chance(0.7)
    ? [{ destination: destination(random), ...maybe(random, 0.15, () => ({ headers: headers(random) })) }]
    : [
        { destination: destination(random), weight: random.pick([0, 1, 50]) },
        {
          destination: destination(random),
          weight: 50,
          ...maybe(random, 0.3, () => ({ headers: headers(random) })),
        },
      ];
  return {
    route,
    ...maybe(random, 0.25, () => ({
      rewrite: random.pick([
        { uri: '/new' },
        { uri: '/' },
        { authority: 'rewritten.example.com' },
        { uri: '/n/', authority: 'rewritten.example.com' },
        { uriRegexRewrite: { match: '^/([a-z])(.*)$', rewrite: '\\2/\\1$1' } },
        { uriRegexRewrite: { match: 'b', rewrite: 'c' } },
      ]),
    })),
    ...maybe(random, 0.1, () => ({
      fault: {
        abort: {
          ...random.pick([{ httpStatus: 503 }, { httpStatus: 418 }, { grpcStatus: 'UNAVAILABLE' }]),
          percentage: { value: random.pick([0, 100]) },
        },
      },
    })),
    ...maybe(random, 0.1, () => ({ timeout: '5s' })),
    ...maybe(random, 0.1, () => ({ retries: { attempts: 1, perTryTimeout: '2s' } })),
    ...maybe(random, 0.1, () => ({ mirror: destination(random) })),
    ...maybe(random, 0.1, () => ({ corsPolicy: { allowOrigins: [{ exact: 'https://shop.example' }] } })),
  };
}

function httpRoute(random: Random, delegating: boolean): object {
  return {
    ...maybe(random, 0.3, () => ({ name: random.pick(['first', 'second']) })),
    ...maybe(random, 0.75, () => ({
      match: Array.from({ length: 1 + random.below(2) }, () => match(random)),
    })),
    ...maybe(random, 0.15, () => ({ headers: headers(random) })),
    ...(delegating && random.chance(0.2)
      ? {
          delegate: {
            name: `leaf${random.below(3)}`,
            ...maybe(random, 0.3, () => ({ namespace: random.pick(namespaces) })),
          },
        }
      : action(random)),
  };
}

function virtualService(random: Random, index: number): ConfigObject {
  return object(random, 'VirtualService', `route${index}`, random.pick(namespaces), {
    hosts: Array.from({ length: 1 + random.below(2) }, () => random.pick(hosts)),
    ...maybe(random, 0.5, () => ({ gateways: some(random, gatewayNames, 0.6) })),
    http: Array.from({ length: 1 + random.below(4) }, () => httpRoute(random, true)),
    ...exportTo(random),
  });
}

function delegate(random: Random, index: number): ConfigObject {
  return object(random, 'VirtualService', `leaf${index}`, random.pick(namespaces), {
    http: Array.from({ length: 1 + random.below(3) }, () => httpRoute(random, false)),
    ...exportTo(random),
  });
}

function gateway(random: Random, name: string, namespace: string): ConfigObject {
  const served = [
    '*',
    '*.example.com',
    'shop/web.shop.svc.cluster.local',
    'bank/*',
    './other.example.org',
    'api.example.com',
  ];
  return object(random, 'Gateway', name, namespace, {
    selector: { istio: random.chance(0.9) ? 'ingressgateway' : 'other' },
    servers: some(random, servicePorts, 0.8).map((number) => ({
      port: { number, name: `http-${number}`, protocol: 'HTTP' },
      hosts: [random.pick(served), ...some(random, served, 0.15)],
      ...maybe(random, 0.1, () => ({ tls: { httpsRedirect: true } })),
    })),
  });
}

function sidecar(random: Random): ConfigObject {
  return object(random, 'Sidecar', 'scope', 'shop', {
    ...maybe(random, 0.5, () => ({
      workloadSelector: { labels: { app: random.pick(['client', 'other']) } },
    })),
    egress: [
      {
        hosts: [
          'shop/*',
          ...some(random, ['bank/*', './*', '*/api.example.com', '*/web.bank.svc.cluster.local'], 0.4),
        ],
      },
    ],
  });
}

/** A configuration; `backends` are the ports that endpoints may have. */
export function randomConfig(random: Random, backends: readonly number[]): ConfigObject[] {
  return [
    ...services.filter(() => random.chance(0.9)).map((one) => serviceEntry(random, one, backends)),
    ...Array.from({ length: 1 + random.below(4) }, (_, index) => destinationRule(random, index)),
    ...Array.from({ length: 1 + random.below(5) }, (_, index) => virtualService(random, index)),
    ...Array.from({ length: random.below(3) }, (_, index) => delegate(random, index)),
    ...(random.chance(0.9) ? [gateway(random, 'front', 'istio-system')] : []),
    ...(random.chance(0.4) ? [gateway(random, 'side', 'shop')] : []),
    ...(random.chance(0.2) ? [sidecar(random)] : []),
  ];
}

export function randomRequest(random: Random, entries: readonly string[]): TrafficRequest {
  const authority = random.pick(authorities);
  return {
    entry: random.pick(entries),
    host: `${authority}${random.pick(['', '', '', ':80', ':8080'])}`,
    method: random.pick(['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE']),
    path: random.pick(paths),
    headers: random.pick([{}, {}, { 'x-user': 'ann' }, { 'x-user': 'bob' }, { 'x-user': '' }]),
  };
}

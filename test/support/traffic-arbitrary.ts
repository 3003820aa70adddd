import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { maybe, objectOf, some } from './draw.ts';

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

/** A place where endpoints may be. */
export interface Backend {
  readonly version: string;
  /** By service port. */
  readonly ports: Readonly<Record<number, number>>;
  /** Of a sidecar: the namespace in which services may have it as endpoint. */
  readonly sidecar?: string;
}

export interface TrafficRequest {
  /** Where it comes in: at the listener of a service port, at the forward proxy, at a gateway's port, or at a server's own. */
  readonly entry: string;
  /** Of TLS entries. */
  readonly sni?: string;
  /** Of TLS entries: the client has one. */
  readonly certificate?: boolean;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Default: HTTP/1.1. `tcp` and `tls`: bytes, without HTTP; `host` is then whom explanations are asked about. */
  readonly speaks?: 'http2' | 'tcp' | 'tls';
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

const exportTo = (random: Random) =>
  maybe(random, 0.15, () => ({ exportTo: [random.pick(['*', '.', ...namespaces])] }));

const appLabels = (version: string) => ({ app: 'web', version, 'security.istio.io/tlsMode': 'istio' });

/** A service in one of the ways in which people declare them: a ServiceEntry with its endpoints, or a Service that selects workloads. */
function service(
  random: Random,
  { host, namespace }: (typeof services)[number],
  backends: readonly Backend[],
): ConfigObject[] {
  const ports = [
    { number: 80, name: 'http', protocol: 'HTTP' },
    ...(random.chance(0.5) ? [{ number: 8080, name: 'http-more', protocol: 'HTTP' }] : []),
  ];
  const usable = backends.filter(
    ({ sidecar }) => sidecar === undefined || (sidecar === namespace && host.endsWith('.local')),
  );
  const chosen = usable.filter(({ sidecar }) => random.chance(sidecar ? 0.75 : 0.5));
  const endpoints = chosen.map(({ version, ports: at, sidecar }) => ({
    address: '127.0.0.1',
    ports: Object.fromEntries(ports.map(({ name, number }) => [name, at[number] as number])),
    labels: sidecar ? appLabels(version) : { version },
    ...(sidecar ? { serviceAccount: 'web' } : {}),
  }));
  const name = host.split('.').slice(0, 1).join('-');
  if (host.endsWith('.local') && random.chance(0.6)) {
    const marked = { [`in-${name}`]: 'yes' };
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: {
          clusterIP: 'None',
          selector: marked,
          ports: ports.map(({ name: port, number }) => ({ name: port, port: number })),
        },
      },
      ...endpoints.map((endpoint, index) =>
        objectOf(random, 'WorkloadEntry', `${name}-${index}`, namespace, {
          ...endpoint,
          labels: { ...endpoint.labels, ...marked },
        }),
      ),
    ];
  }
  return [
    objectOf(random, 'ServiceEntry', host.split('.').slice(0, 2).join('-'), namespace, {
      hosts: [host],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports,
      endpoints,
      ...exportTo(random),
    }),
  ];
}

export function destinationRule(random: Random, index: number): ConfigObject {
  const policies = [
    { loadBalancer: { simple: 'ROUND_ROBIN' } },
    { loadBalancer: { consistentHash: { httpHeaderName: 'x-user' } } },
    { connectionPool: { http: { http1MaxPendingRequests: 1000 } } },
    { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: 'RANDOM' } }] },
  ];
  return objectOf(random, 'DestinationRule', `rule${index}`, random.pick(namespaces), {
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

/** TLS that the gateway passes on to a server that ends it itself. */
const passHost = 'pass.example.org';

const gatewayNames = ['mesh', 'istio-system/front', 'shop/side'];

function match(random: Random): object {
  return {
    ...maybe(random, 0.6, () => ({ uri: random.pick(texts.uri) })),
    ...maybe(random, 0.1, () => ({ ignoreUriCase: true })),
    ...maybe(random, 0.25, () => ({
      headers: random.chance(0.85)
        ? { 'x-user': random.pick(texts.user) }
        : { '@request.auth.claims.group': { exact: 'admin' } },
    })),
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
    return {
      directResponse: { status: random.pick([200, 204, 404, 418]), body: { string: 'tea' } },
      ...maybe(random, 0.2, () => ({ fault: { abort: { httpStatus: 503, percentage: { value: 100 } } } })),
    };
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
        // Always a path: one that is none ends an HTTP/2 connection, and with it the other requests of the test.
        { uriRegexRewrite: { match: '^/([a-z])(.*)$', rewrite: '/\\2/\\1$1' } },
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
    ...maybe(random, 0.2, () => ({
      corsPolicy: {
        allowOrigins: [random.pick([{ exact: 'https://shop.example' }, { regex: 'https://.*' }])],
        ...maybe(random, 0.5, () => ({ unmatchedPreflights: random.pick(['FORWARD', 'IGNORE']) })),
      },
    })),
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

export function virtualService(random: Random, index: number): ConfigObject {
  return objectOf(random, 'VirtualService', `route${index}`, random.pick(namespaces), {
    hosts: Array.from({ length: 1 + random.below(2) }, () => random.pick(hosts)),
    ...maybe(random, 0.5, () => ({ gateways: some(random, gatewayNames, 0.6) })),
    http: Array.from({ length: 1 + random.below(4) }, () => httpRoute(random, true)),
    ...exportTo(random),
  });
}

export function delegate(random: Random, index: number): ConfigObject {
  return objectOf(random, 'VirtualService', `leaf${index}`, random.pick(namespaces), {
    http: Array.from({ length: 1 + random.below(3) }, () => httpRoute(random, false)),
    ...exportTo(random),
  });
}

export function gateway(random: Random, name: string, namespace: string): ConfigObject {
  const served = [
    '*',
    '*.example.com',
    'shop/web.shop.svc.cluster.local',
    'bank/*',
    './other.example.org',
    'api.example.com',
  ];
  return objectOf(random, 'Gateway', name, namespace, {
    selector: { istio: random.chance(0.9) ? 'ingressgateway' : 'other' },
    servers: some(random, servicePorts, 0.8)
      .map((number) => ({
        port: { number, name: `http-${number}`, protocol: 'HTTP' },
        hosts: [random.pick(served), ...some(random, served, 0.15)],
        ...maybe(random, 0.1, () => ({ tls: { httpsRedirect: true } })),
      }))
      .concat(tlsServers(random) as never[]),
  });
}

/** Servers of the TLS port; their names must not meet, or Envoy could not choose. */
function tlsServers(random: Random): object[] {
  const server = (name: string, host: string, tls: object, protocol = 'HTTPS') => ({
    port: { number: 443, name, protocol },
    hosts: [host],
    tls,
  });
  const all = [
    server('secure', 'api.example.com', {
      mode: random.pick(['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL']),
      credentialName: 'front',
    }),
    server('wide', '*.example.com', {
      mode: 'SIMPLE',
      credentialName: random.pick(['front', 'front', 'missing']),
    }),
    server('through', passHost, { mode: 'PASSTHROUGH' }, 'TLS'),
  ];
  return some(random, all, 0.7);
}

export function sidecar(random: Random): ConfigObject {
  return objectOf(random, 'Sidecar', 'scope', 'shop', {
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

/** The service behind the gateway that takes TLS as it comes, and the rule that leads there. */
function passthrough(random: Random, tlsPort: number): ConfigObject[] {
  return [
    objectOf(random, 'ServiceEntry', 'pass', 'shop', {
      hosts: [passHost],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
      endpoints: [{ address: '127.0.0.1', ports: { tls: tlsPort } }],
    }),
    objectOf(random, 'VirtualService', 'pass', 'shop', {
      hosts: [random.pick([passHost, '*.example.org'])],
      gateways: ['istio-system/front'],
      tls: [
        {
          match: [{ sniHosts: [passHost], port: 443 }],
          route: [{ destination: { host: passHost, port: { number: 443 } } }],
        },
      ],
    }),
  ];
}

/** A configuration; `backends` are where endpoints may be, `tlsPort` where a server ends TLS itself. */
export function randomConfig(random: Random, backends: readonly Backend[], tlsPort: number): ConfigObject[] {
  return [
    ...services.filter(() => random.chance(0.95)).flatMap((one) => service(random, one, backends)),
    ...Array.from({ length: 1 + random.below(4) }, (_, index) => destinationRule(random, index)),
    ...Array.from({ length: 1 + random.below(5) }, (_, index) => virtualService(random, index)),
    ...Array.from({ length: random.below(3) }, (_, index) => delegate(random, index)),
    ...(random.chance(0.9) ? [gateway(random, 'front', 'istio-system')] : []),
    ...(random.chance(0.4) ? [gateway(random, 'side', 'shop')] : []),
    ...(random.chance(0.2) ? [sidecar(random)] : []),
    ...(random.chance(0.6) ? passthrough(random, tlsPort) : []),
  ];
}

const names = ['api.example.com', 'x.example.com', passHost, 'nowhere.test'];

/** What a browser or a gRPC client sends besides. */
function manner(random: Random): Pick<TrafficRequest, 'method' | 'path' | 'headers'> {
  if (random.chance(0.07))
    return {
      method: 'OPTIONS',
      path: random.pick(paths),
      headers: {
        origin: random.pick(['https://shop.example', 'https://other.example', 'http://plain.example']),
        ...(random.chance(0.85) ? { 'access-control-request-method': 'GET' } : {}),
      },
    };
  if (random.chance(0.07))
    return {
      method: 'POST',
      path: random.pick(['/shop.Cart/Add', '/shop.Cart/Remove', '/shop.Other/Add', '/a']),
      headers: { 'content-type': 'application/grpc' },
    };
  return plain(random);
}

function plain(random: Random): Pick<TrafficRequest, 'method' | 'path' | 'headers'> {
  return {
    method: random.pick(['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE']),
    path: random.pick(paths),
    headers: {},
  };
}

const userHeaders = [{}, {}, { 'x-user': 'ann' }, { 'x-user': 'bob' }, { 'x-user': '' }];

/** A request as `curl` makes it. */
export function randomPlainRequest(
  random: Random,
): Pick<TrafficRequest, 'host' | 'method' | 'path' | 'headers'> {
  return { ...plain(random), host: randomHost(random), headers: random.pick(userHeaders) };
}

function randomHost(random: Random): string {
  return `${random.pick(authorities)}${random.pick(['', '', '', ':80', ':8080'])}`;
}

export function randomRequest(
  random: Random,
  entries: readonly string[],
  tokens: readonly string[],
): TrafficRequest {
  const { method, path, headers: own } = manner(random);
  const token = random.chance(0.3) ? random.pick(tokens) : undefined;
  return {
    entry: random.pick(entries),
    sni: random.pick(names),
    certificate: random.chance(0.4),
    host: randomHost(random),
    method,
    path:
      path.includes('?') || token === undefined || random.chance(0.85)
        ? path
        : `${path}?access_token=${token}`,
    headers: {
      ...own,
      ...random.pick(userHeaders),
      ...maybe(random, 0.15, () => ({
        'x-forwarded-for': random.pick(['10.1.2.3', '1.2.3.4, 10.1.2.9', 'nonsense']),
      })),
      ...(token === undefined
        ? {}
        : random.pick([
            { authorization: `Bearer ${token}` },
            { authorization: `Bearer ${token}` },
            { 'x-token': random.pick([token, `tok ${token}`]) },
          ])),
    },
  };
}

import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { maybe, objectOf, some } from '../draw.ts';
import { type Backend, randomRequest, servicePorts, type TrafficRequest } from '../traffic-arbitrary.ts';
import { opaquePorts } from './opaque-arbitrary.ts';

/*
 * What matters to a workload whose connections the kernel leads to its proxy: addresses of services, hosts outside by every resolution,
 * and what becomes of destinations that nobody declared. Beside the vocabulary of traffic-arbitrary.ts, whose policies judge it too.
 */

/** Addresses of services, which nobody has: proxies take them for the services'. */
export const virtualAddresses = {
  'web.shop': '127.7.0.1',
  'cart.shop': '127.7.0.2',
  'web.bank': '127.7.0.3',
  'api.example': '127.7.0.4',
  'db.shop': '127.7.0.5',
  'db.bank': '127.7.0.6',
} as const;

/** Where applications outside the mesh listen, by one port for HTTP and one for bytes and TLS. */
export interface Outside {
  readonly http: number;
  readonly bytes: number;
  /** Takes HTTPS, on 127.0.0.1. */
  readonly https: number;
}

export const outsideAddresses = ['127.8.0.1', '127.8.0.2', '127.0.0.1'] as const;

/** Where captured clients connect to, `address:port` each. */
export const capturedTargets = ({ http, bytes }: Outside): string[] => [
  ...Object.values(virtualAddresses).flatMap((address) =>
    [...servicePorts, ...Object.values(opaquePorts)].map((port) => `${address}:${port}`),
  ),
  ...outsideAddresses.flatMap((address) => [`${address}:${http}`, `${address}:${bytes}`, `${address}:80`]),
];

/** Nobody asks DNS servers for them: they are this machine. */
const hosts = ['ext.localhost', 'a.ext.localhost', 'b.a.ext.localhost'];
const wildcards = ['*.ext.localhost', '*.localhost'];
const ranges = ['127.8.0.1', '127.8.0.1/32', '127.8.0.0/24', '127.8.0.0/16', '127.7.0.4'];

/** The configuration, where services have addresses. */
export function withAddresses(random: Random, config: readonly ConfigObject[]): ConfigObject[] {
  return config.map((object) => {
    const { name, namespace } = object.metadata;
    const id = object.kind === 'Service' ? `${name}.${namespace}` : (name ?? '').replace('-', '.');
    const address: string | undefined = { ...virtualAddresses }[id];
    if (address === undefined || random.chance(0.3)) return object;
    const spec = object.spec as object;
    if (object.kind === 'Service') return { ...object, spec: { ...spec, clusterIP: address } };
    return object.kind === 'ServiceEntry' ? { ...object, spec: { ...spec, addresses: [address] } } : object;
  });
}

function ports(random: Random, { http, bytes, https }: Outside): object[] {
  const all = [
    random.chance(0.8)
      ? { number: http, name: 'http', protocol: 'HTTP' }
      : { number: http, name: 'http', protocol: random.pick(['HTTP2', 'TCP']) },
    random.pick([
      { number: bytes, name: 'bytes', protocol: 'TCP' },
      { number: bytes, name: 'bytes', protocol: 'TLS' },
      { number: bytes, name: 'bytes', protocol: 'HTTPS' },
      { number: bytes, name: 'bytes' },
    ]),
    { number: 80, name: 'plain', protocol: 'HTTP', targetPort: random.pick([http, http, https]) },
  ];
  return some(random, all, 0.75);
}

function endpoints(random: Random, backends: readonly Backend[]): object[] {
  const away = backends.filter(({ sidecar }) => sidecar === undefined);
  return away
    .filter(() => random.chance(0.6))
    .map(({ ports: at, version }) => ({
      address: '127.0.0.1',
      ports: { http: at[80], bytes: at[opaquePorts.tcp], plain: at[80] },
      labels: { version },
    }));
}

function entry(random: Random, index: number, outside: Outside, backends: readonly Backend[]): ConfigObject {
  const resolution = random.pick(['NONE', 'NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']);
  const names = resolution === 'NONE' || resolution === 'DYNAMIC_DNS' ? [...hosts, ...wildcards] : hosts;
  const named =
    resolution === 'STATIC'
      ? { endpoints: endpoints(random, backends) }
      : resolution.startsWith('DNS')
        ? maybe(random, 0.4, () => ({ endpoints: [{ address: 'localhost' }] }))
        : {};
  return objectOf(random, 'ServiceEntry', `outside${index}`, random.pick(['shop', 'shop', 'bank']), {
    hosts: [random.pick(names), ...some(random, names, 0.1)],
    location: random.pick(['MESH_EXTERNAL', 'MESH_EXTERNAL', 'MESH_INTERNAL']),
    resolution,
    ports: ports(random, outside),
    ...named,
    ...maybe(random, resolution === 'DYNAMIC_DNS' ? 0 : 0.5, () => ({ addresses: [random.pick(ranges)] })),
    ...maybe(random, 0.15, () => ({ exportTo: [random.pick(['.', '*', 'shop'])] })),
  });
}

/** Rules for hosts outside, and for the port that leads to an application behind HTTPS. */
function rule(random: Random, index: number): ConfigObject {
  return objectOf(random, 'DestinationRule', `outside${index}`, 'shop', {
    host: random.pick([...hosts, ...wildcards]),
    ...maybe(random, 0.7, () => ({
      trafficPolicy: random.pick<object>([
        { portLevelSettings: [{ port: { number: 80 }, tls: { mode: 'SIMPLE', insecureSkipVerify: true } }] },
        { tls: { mode: 'DISABLE' } },
        { connectionPool: { tcp: { connectTimeout: '3s' } } },
      ]),
    })),
    ...maybe(random, 0.3, () => ({ subsets: [{ name: 'v1', labels: { version: 'v1' } }] })),
  });
}

function routes(random: Random, index: number, { http, bytes }: Outside): ConfigObject {
  const known = [...hosts, ...wildcards];
  const destination = () => ({
    destination: {
      host: random.pick([...hosts, random.pick(wildcards), 'web', 'api.example.com']),
      ...maybe(random, 0.4, () => ({ port: { number: random.pick([http, bytes, 80]) } })),
      ...maybe(random, 0.1, () => ({ subset: 'v1' })),
    },
  });
  const match = (port: number) => maybe(random, 0.5, () => ({ match: [{ port }] }));
  return objectOf(random, 'VirtualService', `outside${index}`, 'shop', {
    hosts: [random.pick(known)],
    ...random.pick<() => object>([
      () => ({ http: [{ ...match(random.pick([http, 80])), route: [destination()] }] }),
      () => ({ tcp: [{ ...match(bytes), route: [destination()] }] }),
      () => ({
        tls: [{ match: [{ sniHosts: [random.pick(hosts)], port: bytes }], route: [destination()] }],
      }),
    ])(),
  });
}

/** What becomes of destinations that nobody declared. */
function policy(random: Random): ConfigObject {
  // Of captured clients alone: others would look unknown hosts up by DNS.
  return objectOf(random, 'Sidecar', 'away', 'shop', {
    workloadSelector: { labels: { capture: 'kernel' } },
    outboundTrafficPolicy: random.pick([
      { mode: 'ALLOW_ANY' },
      { mode: 'ALLOW_ANY' },
      { mode: 'REGISTRY_ONLY' },
    ]),
    ...maybe(random, 0.3, () => ({
      egress: [{ hosts: [random.pick(['*/*', './*', 'shop/*', '*/ext.localhost'])] }],
    })),
  });
}

/** Hosts outside the mesh and what concerns them. */
export function outsideConfig(
  random: Random,
  outside: Outside,
  backends: readonly Backend[],
): ConfigObject[] {
  return [
    ...Array.from({ length: random.below(4) }, (_, index) => entry(random, index, outside, backends)),
    ...Array.from({ length: random.below(3) }, (_, index) => rule(random, index)),
    ...Array.from({ length: random.below(3) }, (_, index) => routes(random, index, outside)),
    ...(random.chance(0.5) ? [policy(random)] : []),
  ];
}

const serverNames = [...hosts, 'x.localhost', 'db.shop.svc.cluster.local', 'db.bank.svc.cluster.local', ''];

/** A request or a connection of a captured client, by one of `entries`. */
export function capturedRequest(
  random: Random,
  entries: readonly string[],
  tokens: readonly string[],
  { bytes }: Outside,
): TrafficRequest {
  const entry = random.pick(entries);
  const port = Number(entry.split(':').at(-1));
  const isOpaque = port === bytes || Object.values<number>(opaquePorts).includes(port);
  if (random.chance(isOpaque ? 0.9 : 0.1)) {
    const speaks = random.chance(0.5) ? 'tls' : 'tcp';
    return {
      entry,
      host: entry,
      speaks,
      method: '',
      path: '',
      headers: {},
      ...(speaks === 'tls' ? { sni: random.pick(serverNames) } : {}),
    };
  }
  const { sni: _, certificate: __, ...request } = randomRequest(random, [entry], tokens);
  const host = random.chance(0.6)
    ? `${random.pick([...hosts, 'x.localhost', '127.8.0.1'])}${random.pick(['', '', `:${port}`])}`
    : request.host;
  return { ...request, host };
}

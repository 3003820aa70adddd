import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { maybe, objectOf, some } from '../draw.ts';
import type { Backend, TrafficRequest } from '../traffic-arbitrary.ts';

/*
 * Services that speak bytes or TLS of their own, routes for them, and connections: beside the vocabulary of traffic-arbitrary.ts, whose
 * policies judge them too.
 */

export const opaqueServices = [
  { host: 'db.shop.svc.cluster.local', namespace: 'shop' },
  { host: 'db.bank.svc.cluster.local', namespace: 'bank' },
] as const;

export const opaquePorts = { tcp: 9000, tls: 9443 } as const;

const hosts = ['db', 'db.shop.svc.cluster.local', 'db.bank.svc.cluster.local', '*.bank.svc.cluster.local'];
const serverNames = [
  ...['db.shop.svc.cluster.local', 'db.bank.svc.cluster.local', 'other.shop.svc.cluster.local'],
  ...['*.shop.svc.cluster.local', '*.bank.svc.cluster.local'],
];
const versions = ['v1', 'v2'];
const gateways = ['mesh', 'istio-system/bytes'];

const appLabels = (version: string) => ({ app: 'web', version, 'security.istio.io/tlsMode': 'istio' });

function service(
  random: Random,
  { host, namespace }: (typeof opaqueServices)[number],
  backends: readonly Backend[],
): ConfigObject[] {
  // Without a protocol the first bytes tell.
  const tcp = random.chance(0.8)
    ? { number: opaquePorts.tcp, name: 'tcp', protocol: 'TCP' }
    : { number: opaquePorts.tcp, name: 'bytes' };
  const ports = [
    tcp,
    ...(random.chance(0.9) ? [{ number: opaquePorts.tls, name: 'tls', protocol: 'TLS' }] : []),
  ];
  const endpoints = backends
    .filter(({ sidecar }) =>
      sidecar === undefined ? random.chance(0.4) : sidecar === namespace && random.chance(0.8),
    )
    .map(({ version, ports: at, sidecar }) => ({
      address: '127.0.0.1',
      ports: Object.fromEntries(ports.map(({ name, number }) => [name, at[number] as number])),
      labels: sidecar ? appLabels(version) : { version },
      ...(sidecar ? { serviceAccount: 'web' } : {}),
    }));
  if (random.chance(0.4)) {
    const marked = { 'in-db': 'yes' };
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'db', namespace },
        spec: {
          clusterIP: 'None',
          selector: marked,
          ports: ports.map(({ name, number }) => ({ name, port: number })),
        },
      },
      ...endpoints.map((endpoint, index) =>
        objectOf(random, 'WorkloadEntry', `db-${index}`, namespace, {
          ...endpoint,
          labels: { ...endpoint.labels, ...marked },
        }),
      ),
    ];
  }
  return [
    objectOf(random, 'ServiceEntry', 'db', namespace, {
      hosts: [host],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports,
      endpoints,
    }),
  ];
}

function destination(random: Random): object {
  return {
    host: random.pick([...opaqueServices.map(({ host }) => host), 'db', 'nobody']),
    ...maybe(random, 0.35, () => ({ subset: random.pick(versions) })),
    ...maybe(random, 0.4, () => ({ port: { number: random.pick(Object.values(opaquePorts)) } })),
  };
}

const routes = (random: Random): object[] =>
  random.chance(0.7)
    ? [{ destination: destination(random) }]
    : [
        { destination: destination(random), weight: random.pick([0, 1, 50]) },
        { destination: destination(random), weight: 50 },
      ];

const conditions = (random: Random) => ({
  ...maybe(random, 0.15, () => ({ sourceLabels: { app: random.pick(['client', 'other']) } })),
  ...maybe(random, 0.1, () => ({ sourceNamespace: random.pick(['shop', 'bank']) })),
  ...maybe(random, 0.2, () => ({ gateways: [random.pick(gateways)] })),
});

function tcpRoute(random: Random): object {
  return {
    ...maybe(random, 0.7, () => ({
      match: [
        {
          ...maybe(random, 0.7, () => ({ port: random.pick(Object.values(opaquePorts)) })),
          ...conditions(random),
        },
      ],
    })),
    route: routes(random),
  };
}

function tlsRoute(random: Random): object {
  return {
    match: [
      {
        sniHosts: [random.pick(serverNames), ...some(random, serverNames, 0.1)],
        ...maybe(random, 0.6, () => ({ port: opaquePorts.tls })),
        ...conditions(random),
      },
    ],
    route: routes(random),
  };
}

function virtualService(random: Random, index: number): ConfigObject {
  const several = (make: (random: Random) => object) =>
    Array.from({ length: 1 + random.below(2) }, () => make(random));
  return objectOf(random, 'VirtualService', `bytes${index}`, random.pick(['shop', 'bank', 'istio-system']), {
    hosts: [random.pick(hosts), ...some(random, serverNames, 0.15)],
    ...maybe(random, 0.6, () => ({ gateways: some(random, gateways, 0.8) })),
    ...random.pick([
      () => ({ tcp: several(tcpRoute) }),
      () => ({ tls: several(tlsRoute) }),
      () => ({ tcp: several(tcpRoute), tls: several(tlsRoute) }),
    ])(),
  });
}

function destinationRule(random: Random, index: number): ConfigObject {
  return objectOf(random, 'DestinationRule', `bytes${index}`, random.pick(['shop', 'bank', 'istio-system']), {
    host: random.pick(hosts),
    ...maybe(random, 0.9, () => ({
      subsets: some(random, versions, 0.8).map((version) => ({ name: version, labels: { version } })),
    })),
    ...maybe(random, 0.2, () => ({
      trafficPolicy: { tls: { mode: 'DISABLE' } },
    })),
  });
}

function gateway(random: Random): ConfigObject {
  const all = [
    {
      port: { number: opaquePorts.tcp, name: 'tcp', protocol: 'TCP' },
      hosts: [random.pick(['*', 'shop/*'])],
    },
    {
      port: { number: opaquePorts.tls, name: 'tls', protocol: 'TLS' },
      hosts: [random.pick(['*', '*.shop.svc.cluster.local', 'db.bank.svc.cluster.local'])],
      tls: { mode: 'PASSTHROUGH' },
    },
  ];
  return objectOf(random, 'Gateway', 'bytes', 'istio-system', {
    selector: { istio: 'ingressgateway' },
    servers: some(random, all, 0.8),
  });
}

/** Services without HTTP and what concerns them. */
export function opaqueConfig(random: Random, backends: readonly Backend[]): ConfigObject[] {
  return [
    ...opaqueServices.filter(() => random.chance(0.9)).flatMap((one) => service(random, one, backends)),
    ...Array.from({ length: random.below(3) }, (_, index) => destinationRule(random, index)),
    ...Array.from({ length: random.below(4) }, (_, index) => virtualService(random, index)),
    ...(random.chance(0.7) ? [gateway(random)] : []),
  ];
}

/** A connection to one of `entries`. Within the mesh, clients of TLS ask for the name that they call. */
export function opaqueRequest(random: Random, entries: readonly string[]): TrafficRequest {
  const entry = random.pick(entries);
  const isTls = /:944\d$/.test(entry);
  const host = entry.slice(0, entry.lastIndexOf(':'));
  const sni = host === 'gateway' ? random.pick(serverNames.filter((name) => !name.startsWith('*'))) : host;
  // What is named after bytes is sent them; sometimes it is TLS, and the other way round.
  const speaks = random.chance(0.9) === isTls ? 'tls' : 'tcp';
  return { entry, host, speaks, method: '', path: '', headers: {}, ...(speaks === 'tls' ? { sni } : {}) };
}

import type { ConfigObject } from '../../src/config/object.ts';
import { usageChanges } from '../../src/plan/lazy.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';
import { gatewayApiDraws } from './random-gateway-api.ts';

/** Objects as users write them, drawn from few names so that they meet: hosts are shared, shadowed, selected, gone. */
const namespaces = ['shop', 'bank', 'istio-system'];
const apps = ['web', 'cart', 'pay', 'db'];
const versions = ['v1', 'v2'];
const external = ['api.example.com', '*.example.com', 'files.example.org'];
const created = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'];

export const labelSets: readonly Record<string, string>[] = [
  { app: 'web', version: 'v1' },
  { app: 'cart', version: 'v1' },
  { app: 'pay', version: 'v2', tier: 'back', 'ostria.io/lazy': 'true' },
];

type Draw = (random: Random) => ConfigObject;

function object(
  random: Random,
  apiVersion: string,
  kind: string,
  name: string,
  rest: Omit<ConfigObject, 'apiVersion' | 'kind' | 'metadata'> & { labels?: Record<string, string> },
  namespace = random.pick(namespaces),
): ConfigObject {
  const { labels, ...fields } = rest;
  const metadata = {
    name,
    namespace,
    creationTimestamp: random.pick(created),
    ...(labels ? { labels } : {}),
  };
  return { apiVersion, kind, metadata, ...fields };
}

function fqdn(random: Random): string {
  return `${random.pick(apps)}.${random.pick(namespaces)}.svc.cluster.local`;
}

function anyHost(random: Random): string {
  return random.pick([fqdn, fqdn, () => random.pick(apps), () => random.pick(external)])(random);
}

const maybe = <T extends object>(random: Random, p: number, part: () => T): T | Record<string, never> =>
  random.chance(p) ? part() : {};

const exportTo = (random: Random) =>
  maybe(random, 0.25, () => ({ exportTo: [random.pick(['*', '.', ...namespaces])] }));

const service: Draw = (random) => {
  const name = random.pick(apps);
  const ports = [
    { name: 'http', port: 8080 },
    ...(random.chance(0.4)
      ? [
          random.pick([
            { name: 'tcp-raw', port: 9000 },
            { name: 'other', port: 9000 },
          ]),
        ]
      : []),
    ...(random.chance(0.3)
      ? [
          random.pick([
            { name: 'grpc', port: 7070 },
            { name: 'https', port: 8443 },
          ]),
        ]
      : []),
  ];
  const kind = random.below(10);
  const type =
    kind === 0
      ? { type: 'ExternalName', externalName: anyHost(random) }
      : { clusterIP: kind === 1 ? 'None' : `10.96.0.${1 + random.below(6)}`, selector: { app: name } };
  return object(random, 'v1', 'Service', name, { spec: { ...type, ports } });
};

const slice: Draw = (random) => {
  const name = random.pick(apps);
  const endpoints = Array.from({ length: random.below(4) }, () => ({
    addresses: [`10.1.0.${1 + random.below(8)}`],
    conditions: { ready: random.chance(0.85) },
    ...maybe(random, 0.4, () => ({ zone: random.pick(['z1', 'z2']) })),
    ...maybe(random, 0.5, () => ({ targetRef: { kind: 'Pod', name: `pod${random.below(6)}` } })),
  }));
  return object(random, 'discovery.k8s.io/v1', 'EndpointSlice', `${name}-${random.below(2)}`, {
    labels: { 'kubernetes.io/service-name': name },
    addressType: 'IPv4',
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'tcp-raw', port: 9000, protocol: 'TCP' },
    ],
    endpoints,
  });
};

const pod: Draw = (random) => {
  const at = random.below(6);
  return object(random, 'v1', 'Pod', `pod${at}`, {
    labels: { app: random.pick(apps), version: random.pick(versions) },
    spec: { serviceAccountName: random.pick(['default', 'robot']) },
    status: { podIP: `10.1.0.${1 + at}`, podIPs: [{ ip: `10.1.0.${1 + at}` }], phase: 'Running' },
  });
};

const serviceEntry: Draw = (random) => {
  const resolution = random.pick(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN'] as const);
  return object(random, 'networking.istio.io/v1', 'ServiceEntry', `entry${random.below(4)}`, {
    spec: {
      hosts: [resolution === 'NONE' ? random.pick(external) : random.pick([fqdn(random), 'api.example.com'])],
      location: random.pick(['MESH_EXTERNAL', 'MESH_INTERNAL']),
      resolution,
      ports: [
        random.pick([
          { number: 8080, name: 'http', protocol: 'HTTP' },
          { number: 443, name: 'tls', protocol: 'TLS' },
          { number: 9000, name: 'tcp', protocol: 'TCP' },
        ]),
      ],
      ...(resolution === 'NONE'
        ? {}
        : { endpoints: [{ address: resolution === 'STATIC' ? '10.2.0.1' : 'a.example.net' }] }),
      ...exportTo(random),
    },
  });
};

function httpRoute(random: Random): object {
  const destination = () => ({
    host: anyHost(random),
    ...maybe(random, 0.5, () => ({ subset: random.pick(versions) })),
    ...maybe(random, 0.3, () => ({ port: { number: 8080 } })),
  });
  const match = () => ({
    ...maybe(random, 0.5, () => ({
      uri: random.pick([{ prefix: '/api' }, { exact: '/' }, { regex: '/v[0-9]+' }]),
    })),
    ...maybe(random, 0.3, () => ({ headers: { 'end-user': { exact: random.pick(['jason', 'ann']) } } })),
    ...maybe(random, 0.3, () => ({ sourceLabels: { app: random.pick(apps) } })),
    ...maybe(random, 0.2, () => ({ sourceNamespace: random.pick(namespaces) })),
    ...maybe(random, 0.2, () => ({ gateways: [random.pick(['mesh', 'gw0', 'istio-system/gw1'])] })),
  });
  const action = random.below(8);
  return {
    ...maybe(random, 0.6, () => ({ match: Array.from({ length: 1 + random.below(2) }, match) })),
    ...(random.chance(0.1)
      ? { delegate: { name: `leaf${random.below(2)}`, namespace: random.pick(namespaces) } }
      : action === 0
        ? { redirect: { uri: '/elsewhere' } }
        : action === 1
          ? { directResponse: { status: 418, body: { string: 'tea' } } }
          : {
              route: random.chance(0.5)
                ? [{ destination: destination() }]
                : [
                    { destination: destination(), weight: 30 + random.below(3) },
                    { destination: destination(), weight: 50 },
                  ],
            }),
    ...maybe(random, 0.2, () => ({ timeout: `${1 + random.below(3)}s` })),
    ...maybe(random, 0.2, () => ({ fault: { delay: { fixedDelay: '2s', percentage: { value: 50 } } } })),
    ...maybe(random, 0.15, () => ({ mirror: destination() })),
    ...maybe(random, 0.15, () => ({ headers: { request: { set: { 'x-from': 'mesh' } } } })),
    ...maybe(random, 0.15, () => ({ retries: { attempts: random.below(3), perTryTimeout: '1s' } })),
  };
}

const virtualService: Draw = (random) => {
  const layer4 = random.below(8);
  const destination = { host: anyHost(random) };
  return object(random, 'networking.istio.io/v1', 'VirtualService', `route${random.below(6)}`, {
    spec: {
      hosts: Array.from({ length: 1 + random.below(2) }, () => anyHost(random)),
      ...maybe(random, 0.35, () => ({
        gateways: [random.pick(['gw0', 'istio-system/gw1']), ...(random.chance(0.5) ? ['mesh'] : [])],
      })),
      ...(layer4 === 0 ? { tcp: [{ match: [tcpMatch(random)], route: [{ destination }] }] } : {}),
      ...(layer4 === 1
        ? { tls: [{ match: [{ port: 443, sniHosts: ['api.example.com'] }], route: [{ destination }] }] }
        : {}),
      ...(layer4 > 0 ? { http: Array.from({ length: 1 + random.below(3) }, () => httpRoute(random)) } : {}),
      ...exportTo(random),
    },
  });
};

function tcpMatch(random: Random): object {
  return {
    port: 9000,
    ...maybe(random, 0.3, () => ({ sourceSubnet: random.pick(['10.1.0.0/16', '10.1.0.3']) })),
    ...maybe(random, 0.3, () => ({ destinationSubnets: ['10.96.0.0/24', '10.96.0.2'] })),
  };
}

/** Routes that others delegate to. */
const delegate: Draw = (random) =>
  object(random, 'networking.istio.io/v1', 'VirtualService', `leaf${random.below(2)}`, {
    spec: { http: Array.from({ length: 1 + random.below(2) }, () => httpRoute(random)), ...exportTo(random) },
  });

const destinationRule: Draw = (random) =>
  object(random, 'networking.istio.io/v1', 'DestinationRule', `rule${random.below(6)}`, {
    spec: {
      host: random.chance(0.1) ? '*.svc.cluster.local' : anyHost(random),
      ...maybe(random, 0.7, () => ({
        subsets: versions
          .filter(() => random.chance(0.7))
          .map((version) => ({ name: version, labels: { version } })),
      })),
      ...maybe(random, 0.7, () => ({
        trafficPolicy: {
          ...maybe(random, 0.4, () => ({
            connectionPool: { http: { http2MaxRequests: 1 + random.below(3) } },
          })),
          ...maybe(random, 0.4, () => ({ outlierDetection: { consecutive5xxErrors: 3 } })),
          ...maybe(random, 0.3, () => ({
            tls: { mode: random.pick(['DISABLE', 'ISTIO_MUTUAL', 'SIMPLE']) },
          })),
          ...maybe(random, 0.3, () => ({
            loadBalancer: random.pick([
              { simple: 'RANDOM' },
              { consistentHash: { httpHeaderName: 'x-user' } },
              { localityLbSetting: { failoverPriority: ['version', 'topology.kubernetes.io/zone'] } },
              { zoneAwareLbSetting: { enabled: true } },
            ]),
          })),
          ...maybe(random, 0.15, () => ({ tunnel: { targetHost: 'far.example.com', targetPort: 443 } })),
          ...maybe(random, 0.15, () => ({ proxyProtocol: { version: 'V2' } })),
        },
      })),
      ...maybe(random, 0.15, () => ({ workloadSelector: { matchLabels: { app: random.pick(apps) } } })),
      ...exportTo(random),
    },
  });

const gateway: Draw = (random) => {
  const at = random.below(2);
  return object(
    random,
    'networking.istio.io/v1',
    'Gateway',
    `gw${at}`,
    {
      spec: {
        selector: random.pick([{ istio: 'ingressgateway' }, { app: 'other' }]),
        servers: [
          {
            port: { number: 8080, name: 'http', protocol: 'HTTP' },
            hosts: [random.pick(['*', 'api.example.com', fqdn(random)])],
          },
          ...(random.chance(0.4)
            ? [
                {
                  port: { number: 8443, name: 'https', protocol: 'HTTPS' },
                  hosts: ['api.example.com'],
                  tls: { mode: 'SIMPLE', credentialName: 'cert' },
                },
              ]
            : []),
        ],
      },
    },
    at === 0 ? random.pick(['shop', 'bank']) : 'istio-system',
  );
};

const peerAuthentication: Draw = (random) => {
  const mtls = () => ({ mode: random.pick(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']) });
  return object(random, 'security.istio.io/v1', 'PeerAuthentication', `peer${random.below(3)}`, {
    spec: {
      ...maybe(random, 0.8, () => ({ mtls: mtls() })),
      ...maybe(random, 0.5, () => ({
        selector: { matchLabels: { app: random.pick(apps) } },
        ...maybe(random, 0.5, () => ({ portLevelMtls: { 8080: mtls(), 7001: mtls() } })),
      })),
    },
  });
};

const authorizationPolicy: Draw = (random) =>
  object(random, 'security.istio.io/v1', 'AuthorizationPolicy', `authz${random.below(4)}`, {
    spec: {
      action: random.pick(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']),
      ...maybe(random, 0.5, () => ({ selector: { matchLabels: { app: random.pick(apps) } } })),
      ...maybe(random, 0.8, () => ({
        rules: [
          {
            ...maybe(random, 0.6, () => ({ from: [{ source: { namespaces: [random.pick(namespaces)] } }] })),
            ...maybe(random, 0.6, () => ({
              to: [{ operation: { ports: ['8080'], methods: [random.pick(['GET', 'POST'])] } }],
            })),
            ...maybe(random, 0.3, () => ({ when: [{ key: 'connection.sni', values: ['a'] }] })),
          },
        ],
      })),
    },
  });

const sidecar: Draw = (random) => {
  const hosts = () =>
    Array.from({ length: 1 + random.below(3) }, () =>
      random.pick([
        () => './*',
        () => '*/*',
        () => `~${random.pick(namespaces)}/*`,
        () => `${random.pick(['*', '.', ...namespaces])}/${fqdn(random)}`,
        () => `*/${random.pick(external)}`,
      ])(),
    );
  return object(random, 'networking.istio.io/v1', 'Sidecar', `sidecar${random.below(2)}`, {
    spec: {
      ...maybe(random, 0.4, () => ({ workloadSelector: { labels: { app: random.pick(apps) } } })),
      egress: [
        ...(random.chance(0.3)
          ? [{ port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: hosts() }]
          : []),
        { hosts: hosts() },
      ],
      ...maybe(random, 0.3, () => ({
        outboundTrafficPolicy: { mode: random.pick(['ALLOW_ANY', 'REGISTRY_ONLY']) },
      })),
      ...maybe(random, 0.3, () => ({
        ingress: [
          {
            port: { number: 8080, name: 'http', protocol: random.pick(['HTTP', 'TCP']) },
            defaultEndpoint: random.pick(['127.0.0.1:8081', '0.0.0.0:8080', 'unix:///app.sock']),
          },
        ],
      })),
    },
  });
};

const draws: readonly Draw[] = [
  service,
  service,
  slice,
  slice,
  pod,
  serviceEntry,
  virtualService,
  virtualService,
  virtualService,
  delegate,
  destinationRule,
  destinationRule,
  gateway,
  peerAuthentication,
  authorizationPolicy,
  sidecar,
  ...gatewayApiDraws,
];

/** What the lazy workloads of the label sets asked for. */
export function randomUsage(random: Random): WorldChange[] {
  const hosts = Array.from({ length: random.below(3) }, () => fqdn(random)).sort();
  const unknown = random.chance(0.4)
    ? [`8080/${random.pick([...apps, 'api.example.com', 'nobody.test'])}`]
    : [];
  return usageChanges(`${random.pick(namespaces)}/default/pay`, {
    hosts: [...new Set(hosts)],
    unknown,
    full: random.chance(0.1),
  });
}

export function randomObject(random: Random): ConfigObject {
  return random.pick(draws)(random);
}

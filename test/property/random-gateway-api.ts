import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';

/** Objects of the Gateway API, drawn like those of random-objects.ts and over the same services. */
const group = 'gateway.networking.k8s.io';
const namespaces = ['shop', 'bank', 'istio-system'];
const apps = ['web', 'cart', 'pay', 'db'];
const hostnames = ['api.example.com', '*.example.com', 'shop.example.org'];
const created = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'];

function object(
  random: Random,
  kind: string,
  name: string,
  spec: object,
  namespace = random.pick(namespaces),
): ConfigObject {
  return {
    apiVersion: `${group}/v1`,
    kind,
    metadata: { name, namespace, creationTimestamp: random.pick(created) },
    spec,
  };
}

const hostname = (random: Random): { hostname?: string } =>
  random.chance(0.6) ? { hostname: random.pick(hostnames) } : {};

const from = (random: Random): object => ({ namespaces: { from: random.pick(['Same', 'All']) } });

function listeners(random: Random): object[] {
  const all = [
    { name: 'http', port: 8081, protocol: 'HTTP', ...hostname(random), allowedRoutes: from(random) },
    {
      name: 'more',
      port: 8081,
      protocol: random.pick(['HTTP', 'TCP']),
      ...hostname(random),
      allowedRoutes: from(random),
    },
    {
      name: 'raw',
      port: 8444,
      protocol: 'TLS',
      ...hostname(random),
      tls: { mode: 'Passthrough' },
      allowedRoutes: from(random),
    },
    {
      name: 'https',
      port: 8444,
      protocol: 'HTTPS',
      ...hostname(random),
      tls: { certificateRefs: [{ name: 'cert' }] },
    },
    { name: 'tcp', port: 9001, protocol: 'TCP', allowedRoutes: from(random) },
    { name: 'udp', port: 5301, protocol: 'UDP', allowedRoutes: from(random) },
  ];
  return all
    .filter(() => random.chance(0.5))
    .concat(all[0] as (typeof all)[0])
    .filter((one, at, list) => list.findIndex(({ name }) => name === one.name) === at);
}

const gateway = (random: Random): ConfigObject =>
  object(
    random,
    'Gateway',
    'front',
    {
      gatewayClassName: random.pick(['istio', 'istio', 'other']),
      listeners: listeners(random),
      ...(random.chance(0.5) ? { allowedListeners: { namespaces: { from: 'All' } } } : {}),
    },
    random.pick(['istio-system', 'istio-system', 'shop']),
  );

const listenerSet = (random: Random): ConfigObject =>
  object(random, 'ListenerSet', 'more', {
    parentRef: { name: 'front', namespace: 'istio-system' },
    listeners: [
      {
        name: 'set',
        port: random.pick([8081, 8082]),
        protocol: 'HTTP',
        ...hostname(random),
        allowedRoutes: from(random),
      },
    ],
  });

function parents(random: Random): object[] {
  const one = (): object =>
    random.pick([
      { name: 'front', namespace: 'istio-system' },
      { name: 'front', namespace: 'istio-system', sectionName: random.pick(['http', 'tcp', 'raw']) },
      { kind: 'ListenerSet', group, name: 'more', namespace: random.pick(namespaces) },
      { kind: 'Service', group: '', name: random.pick(apps), ...(random.chance(0.5) ? { port: 8080 } : {}) },
      { kind: 'Service', group: '', name: random.pick(apps), namespace: random.pick(namespaces) },
    ]);
  return random.chance(0.7) ? [one()] : [one(), one()];
}

const backends = (random: Random): object[] =>
  Array.from({ length: random.below(3) }, () => ({
    name: random.pick([...apps, 'nobody']),
    port: random.pick([8080, 9000]),
    weight: random.below(3),
    ...(random.chance(0.3) ? { namespace: random.pick(namespaces) } : {}),
  }));

const filters = (random: Random): object[] => [
  ...(random.chance(0.3)
    ? [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-a', value: '1' }] } }]
    : []),
  ...(random.chance(0.2)
    ? [{ type: 'RequestMirror', requestMirror: { backendRef: { name: random.pick(apps), port: 8080 } } }]
    : []),
  ...(random.chance(0.2)
    ? [
        {
          type: 'URLRewrite',
          urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: random.pick(['/', '/x']) } },
        },
      ]
    : []),
];

const httpRoute = (random: Random): ConfigObject =>
  object(random, 'HTTPRoute', `http${random.below(3)}`, {
    parentRefs: parents(random),
    ...(random.chance(0.5) ? { hostnames: [random.pick(hostnames)] } : {}),
    rules: Array.from({ length: 1 + random.below(2) }, () => ({
      matches: [
        {
          path: { type: random.pick(['PathPrefix', 'Exact']), value: random.pick(['/', '/a', '/a/b']) },
          ...(random.chance(0.3) ? { headers: [{ name: 'v', value: '1' }] } : {}),
        },
      ],
      filters: filters(random),
      backendRefs: backends(random),
      ...(random.chance(0.2) ? { retry: { attempts: 2, codes: [503] } } : {}),
      ...(random.chance(0.2) ? { sessionPersistence: { sessionName: 's' } } : {}),
    })),
  });

const connectionRoute = (random: Random): ConfigObject => {
  const kind = random.pick(['TCPRoute', 'TLSRoute', 'UDPRoute']);
  return object(random, kind, 'raw', {
    parentRefs: parents(random),
    ...(kind === 'TLSRoute' ? { hostnames: [random.pick(hostnames)] } : {}),
    rules: [{ backendRefs: backends(random) }],
  });
};

const referenceGrant = (random: Random): ConfigObject =>
  object(random, 'ReferenceGrant', 'grant', {
    from: [{ group, kind: random.pick(['HTTPRoute', 'TCPRoute']), namespace: random.pick(namespaces) }],
    to: [{ group: '', kind: 'Service', ...(random.chance(0.5) ? { name: random.pick(apps) } : {}) }],
  });

const backendTlsPolicy = (random: Random): ConfigObject =>
  object(random, 'BackendTLSPolicy', `tls${random.below(2)}`, {
    targetRefs: [
      {
        group: '',
        kind: 'Service',
        name: random.pick(apps),
        ...(random.chance(0.3) ? { sectionName: 'http' } : {}),
      },
    ],
    validation: {
      hostname: 'b.example.com',
      ...random.pick([
        { wellKnownCACertificates: 'System' },
        { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'none' }] },
      ]),
    },
  });

export const gatewayApiDraws = [
  gateway,
  listenerSet,
  httpRoute,
  httpRoute,
  connectionRoute,
  referenceGrant,
  backendTlsPolicy,
];

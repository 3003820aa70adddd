import type { ConfigObject } from '../../src/config/object.ts';
import type { ModelObject } from '../../src/model/model-objects.ts';
import type { Variant } from '../../src/request-space/space.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { randomConfig, randomPlainRequest } from './traffic-arbitrary.ts';

/*
 * Whole meshes, changes of them, and requests, out of the vocabulary of traffic-arbitrary.ts: workloads with and without sidecars behind its
 * services, and policies that judge who calls what.
 */

const apps = [
  { name: 'web', namespace: 'shop', versions: ['v1', 'v2'] },
  { name: 'cart', namespace: 'shop', versions: ['v1'] },
  { name: 'web', namespace: 'bank', versions: ['v1', 'v2'] },
] as const;

const objectOf = (
  apiVersion: string,
  kind: string,
  name: string,
  namespace: string,
  rest: object,
): ConfigObject => ({ apiVersion, kind, metadata: { name, namespace }, ...rest }) as ConfigObject;

function deployment(
  name: string,
  namespace: string,
  labels: Record<string, string>,
  account: string,
  sidecar = true,
) {
  const metadata = { labels, annotations: sidecar ? {} : { 'sidecar.istio.io/inject': 'false' } };
  return objectOf('apps/v1', 'Deployment', name, namespace, {
    spec: {
      selector: { matchLabels: labels },
      template: { metadata, spec: { serviceAccountName: account, containers: [{ name: 'app' }] } },
    },
  });
}

/** Services, workloads and callers: what changes do not touch. */
export function standing(): ConfigObject[] {
  return [
    ...['shop', 'bank'].map(
      (name) =>
        ({
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name, labels: { 'istio-injection': 'enabled' } },
        }) as ConfigObject,
    ),
    ...apps.flatMap(({ name, namespace, versions }) => [
      objectOf('v1', 'Service', name, namespace, {
        spec: {
          selector: { app: name },
          ports: [
            { name: 'http', port: 80, targetPort: 8000 },
            { name: 'http-more', port: 8080, targetPort: 8001 },
          ],
        },
      }),
      ...versions.map((version) =>
        deployment(`${name}-${version}`, namespace, { app: name, version }, `${name}`),
      ),
    ]),
    deployment('client', 'shop', { app: 'client' }, 'client'),
    deployment('client', 'bank', { app: 'client' }, 'teller'),
    deployment('plain', 'shop', { app: 'plain' }, 'plain', false),
  ];
}

const some = (random: Random, items: readonly string[]) => [
  random.pick(items),
  ...(random.chance(0.3) ? [random.pick(items)] : []),
];
const maybe = (random: Random, p: number, part: () => object) => (random.chance(p) ? part() : {});

const sources: Readonly<Record<string, readonly string[]>> = {
  namespaces: ['shop', 'bank', 'istio-*', '*op'],
  principals: ['cluster.local/ns/shop/sa/client', 'cluster.local/ns/bank/*', '*', '*/sa/teller'],
  ipBlocks: ['10.244.0.0/16', '198.51.100.0/24'],
  remoteIpBlocks: ['198.51.100.0/24', '10.0.0.0/8'],
  requestPrincipals: ['issuer/ann', '*', 'issuer/*'],
};
const operations: Readonly<Record<string, readonly string[]>> = {
  methods: ['GET', 'POST', 'P*'],
  paths: ['/a', '/a/*', '*/b', '/', '/new', '/{*}/b', '/v1/{**}'],
  hosts: ['web', 'web.shop*', '*.local', 'api.example.com'],
  ports: ['8000', '8001', '80'],
};

function fields(random: Random, from: Readonly<Record<string, readonly string[]>>): object {
  const name = random.pick(Object.keys(from));
  const values = some(random, from[name] ?? []);
  return random.chance(0.25)
    ? { [`not${name[0]?.toUpperCase()}${name.slice(1)}`]: values }
    : { [name]: values };
}

function rule(random: Random): object {
  return {
    ...maybe(random, 0.6, () => ({ from: [{ source: fields(random, sources) }] })),
    ...maybe(random, 0.6, () => ({
      to: [
        {
          operation: {
            ...fields(random, operations),
            ...maybe(random, 0.3, () => fields(random, operations)),
          },
        },
      ],
    })),
    ...maybe(random, 0.25, () => ({
      when: [
        random.pick([
          { key: 'request.headers[x-user]', values: ['ann', 'b*'] },
          { key: 'request.headers[x-from]', values: ['mesh'] },
          { key: 'request.auth.claims[group]', values: ['staff'] },
          { key: 'source.namespace', notValues: ['bank'] },
        ]),
      ],
    })),
  };
}

const selector = (random: Random) =>
  maybe(random, 0.5, () => ({ selector: { matchLabels: { app: random.pick(['web', 'cart']) } } }));
const security = 'security.istio.io/v1';

function authorizationPolicy(random: Random): ConfigObject {
  return objectOf(
    security,
    'AuthorizationPolicy',
    `authz${random.below(3)}`,
    random.pick(['shop', 'bank', 'istio-system']),
    {
      spec: {
        action: random.pick(['ALLOW', 'DENY', 'DENY']),
        ...selector(random),
        rules: Array.from({ length: 1 + random.below(2) }, () => rule(random)),
      },
    },
  );
}

function peerAuthentication(random: Random): ConfigObject {
  return objectOf(security, 'PeerAuthentication', 'peers', random.pick(['shop', 'bank', 'istio-system']), {
    spec: { mtls: { mode: random.pick(['PERMISSIVE', 'STRICT', 'DISABLE']) } },
  });
}

function requestAuthentication(random: Random): ConfigObject {
  const jwks = JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'one' }] });
  return objectOf(security, 'RequestAuthentication', 'tokens', random.pick(['shop', 'bank']), {
    spec: { ...selector(random), jwtRules: [{ issuer: 'issuer', jwks }] },
  });
}

/** Objects that changes are made of. */
export function randomObjects(random: Random): ConfigObject[] {
  return [
    ...randomConfig(random, [{ version: 'v1', ports: { 80: 9001, 8080: 9001 } }], 9443).filter(
      ({ kind, spec }) =>
        !['ServiceEntry', 'Service', 'WorkloadEntry'].includes(kind) ||
        (kind === 'ServiceEntry' && (spec as { hosts: string[] }).hosts.includes('api.example.com')),
    ),
    ...Array.from({ length: random.below(3) }, () => authorizationPolicy(random)),
    ...(random.chance(0.4) ? [peerAuthentication(random)] : []),
    ...(random.chance(0.4) ? [requestAuthentication(random)] : []),
  ];
}

export interface RandomChange {
  readonly base: ConfigObject[];
  readonly put: ConfigObject[];
  /** Places in `base` of the objects that go. */
  readonly remove: number[];
}

/** A mesh, and one to three objects of it that change, come or go. */
export function randomChange(random: Random): RandomChange {
  const base = randomObjects(random);
  const fresh = randomObjects(random);
  const put: ConfigObject[] = [];
  const remove: number[] = [];
  for (let i = 1 + random.below(3); i > 0; i--) {
    const at = base.length > 0 ? random.below(base.length) : -1;
    const old = base[at];
    const kin = fresh.filter(({ kind }) => kind === old?.kind);
    const kind = random.below(4);
    if (kind === 0 && old) remove.push(at);
    else if (kind < 3 && old && kin.length > 0) put.push({ ...random.pick(kin), metadata: old.metadata });
    else if (fresh.length > 0) put.push(random.pick(fresh));
  }
  return { base, put, remove };
}

export interface RandomQuestion {
  /** `namespace/name`. */
  readonly from: string;
  /** Without path. */
  readonly url: string;
  readonly variant: Variant;
}

const claims = [
  undefined,
  undefined,
  { iss: 'issuer', sub: 'ann', group: 'staff' },
  { iss: 'issuer', sub: 'bob' },
  { iss: 'other', sub: 'ann' },
];

export function randomQuestion(random: Random, from: readonly string[]): RandomQuestion {
  const { host, method, path, headers } = randomPlainRequest(random);
  const token = random.pick(claims.map((value) => [value] as const))[0];
  return {
    from: random.pick(from),
    url: `http://${host.endsWith(':8080') || host.endsWith(':80') || random.chance(0.7) ? host : `${host}:8080`}`,
    variant: { method, path, headers, ...(token ? { claims: token } : {}) },
  };
}

export const modelObjects = (objects: readonly ConfigObject[]): ModelObject[] =>
  objects.map((object) => ({ object }));

import type { ConfigObject } from '../../src/config/object.ts';
import type { ModelObject } from '../../src/model/model-objects.ts';
import type { Claims } from '../../src/request-space/dimensions.ts';
import type { Variant } from '../../src/request-space/space.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { objectOf, standing, standingOfAllKinds } from './change-mesh.ts';
import { drawMesh, drawObject } from './change-objects.ts';
import { randomConfig, randomPlainRequest } from './traffic-arbitrary.ts';

/*
 * Whole meshes, changes of them, and requests, out of the vocabulary of traffic-arbitrary.ts: workloads with and without sidecars behind its
 * services, and policies that judge who calls what.
 */

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

/** A mesh, and one to four objects of it that change, come or go: routes and policies that meet often, or objects of any kind. */
export function randomChange(random: Random): RandomChange {
  return random.chance(0.35) ? changeOfRoutes(random) : changeOfAnything(random);
}

function changeOfRoutes(random: Random): RandomChange {
  const base = [...standing(), ...randomObjects(random)];
  const own = base.length - standing().length;
  const fresh = randomObjects(random);
  const put: ConfigObject[] = [];
  const remove: number[] = [];
  for (let i = 1 + random.below(3); i > 0; i--) {
    const at = own > 0 ? base.length - own + random.below(own) : -1;
    const old = base[at];
    const kin = fresh.filter(({ kind }) => kind === old?.kind);
    const kind = random.below(4);
    if (kind === 0 && old) remove.push(at);
    else if (kind < 3 && old && kin.length > 0) put.push({ ...random.pick(kin), metadata: old.metadata });
    else if (fresh.length > 0) put.push(random.pick(fresh));
  }
  return { base, put, remove };
}

/** Each kind is as likely as each other, to come and to go. */
function changeOfAnything(random: Random): RandomChange {
  const base = [...standingOfAllKinds(), ...drawMesh(random)];
  const put: ConfigObject[] = [];
  const remove: number[] = [];
  const kinds = [...new Set(base.map(({ kind }) => kind))];
  for (let i = random.pick([1, 1, 2, 4]); i > 0; i--)
    if (random.chance(0.65)) put.push(random.pick(drawObject)(random));
    else {
      const kind = random.pick(kinds);
      remove.push(random.pick([...base.keys()].filter((at) => base[at]?.kind === kind)));
    }
  return { base, put, remove };
}

export interface RandomQuestion {
  /** `namespace/name`. */
  readonly from: string;
  /** Without path. */
  readonly url: string;
  readonly variant: Variant;
  /** `from` is called at this port, past every proxy but its own. */
  readonly stranger?: number;
}

const claims: readonly (Claims | undefined)[] = [
  undefined,
  undefined,
  { iss: 'issuer', sub: 'ann', group: 'staff' },
  { iss: 'issuer', sub: 'bob' },
  { iss: 'other', sub: 'ann' },
  { iss: 'other', sub: 'ann', aud: 'bank', group: 'guest' },
  { iss: 'issuer', sub: 'ann', aud: 'shop', group: 'admin' },
  { iss: 'issuer', sub: 'ann', aud: 'elsewhere' },
];

/** A request of HTTP, as `curl` makes it. */
export function randomQuestion(random: Random, from: readonly string[]): RandomQuestion {
  const { host, method, path, headers } = randomPlainRequest(random);
  const token = random.pick(claims.map((value) => [value] as const))[0];
  return {
    from: random.pick(from),
    url: `http://${host.endsWith(':8080') || host.endsWith(':80') || random.chance(0.7) ? host : `${host}:8080`}`,
    variant: { method, path, headers, ...(token ? { claims: token } : {}) },
  };
}

const moreHosts = [
  ...[
    'cart.shop:7070',
    'cart.shop:9000',
    'peers.shop:8000',
    'web-v1-0.peers.shop:8000',
    'raw.example.net:9000',
  ],
  ...[
    'files.example.net',
    'x.example.net:443',
    'shop.test',
    'fresh.shop',
    'fresh',
    'fresh:7070',
    '192.0.2.7:9000',
  ],
  ...['istio-ingressgateway.istio-system', 'nowhere.test:9000'],
];

/** A request of any protocol to anywhere, by anybody: by name and address, at gateways, with a Host of its own, past the sidecar. */
export function randomRequestOf(
  random: Random,
  workloads: readonly { readonly key: string; readonly address: string; readonly gateway: boolean }[],
): RandomQuestion {
  const { from: _, url, variant } = randomQuestion(random, ['']);
  const from = random.pick(workloads);
  const plain = `http://${url.slice(7)}`;
  const varied: Variant = { ...variant, ...manner(random, variant) };
  const given = random.below(20);
  if (from.gateway) {
    const host = random.pick([
      'api.example.com',
      'x.example.com',
      'shop.test',
      'web.shop.svc.cluster.local',
      'nowhere.test',
    ]);
    const place = random.pick([':80', ':8080', ':81']);
    const secure = random.pick([':443', ':444']);
    const at = given < 13 ? `http://${host}${place}` : `https://${host}${secure}`;
    const address = random.pick(['198.51.100.1', '198.51.100.1', '10.1.2.3', '203.0.113.9']);
    return { from: from.key, url: at.replace(/:(80|443)$/, ''), variant: { ...varied, address } };
  }
  if (given < 10) return { from: from.key, url: plain, variant: varied };
  if (given < 12) {
    const stranger = random.pick([8000, 8001, 7070, 9000]);
    const scheme = stranger === 9000 ? 'tcp' : 'http';
    return { from: from.key, url: `${scheme}://web.shop:${stranger}`, variant: varied, stranger };
  }
  if (given < 14)
    return {
      from: from.key,
      url: `http://${random.pick(workloads).address}:${random.pick([8000, 8001, 80])}`,
      variant: varied,
    };
  const host = random.pick(moreHosts);
  const scheme = host.endsWith(':9000')
    ? random.pick(['tcp', 'http'])
    : host.endsWith('.net') || host.endsWith(':443')
      ? random.pick(['https', 'tls'])
      : 'http';
  const named = scheme === 'https' ? host.replace(':443', '') : host;
  if (given < 18) return { from: from.key, url: `${scheme}://${named}`, variant: varied };
  // A Host that is not the one that was looked up.
  return {
    from: from.key,
    url: plain,
    variant: {
      ...varied,
      host:
        url.slice(7) === ''
          ? 'web'
          : random.pick(['web', 'web.bank', 'api.example.com', 'nowhere.test', 'cart.shop:8080']),
    },
  };
}

/** What browsers, gRPC clients and proxies on the way add. */
function manner(random: Random, { headers }: Variant): Partial<Variant> {
  switch (random.below(12)) {
    case 0:
      return {
        method: 'OPTIONS',
        headers: {
          origin: random.pick(['https://shop.example', 'https://other.example', 'http://plain.example']),
          ...(random.chance(0.85) ? { 'access-control-request-method': 'GET' } : {}),
        },
      };
    case 1:
    case 2:
      return {
        method: 'POST',
        path: random.pick(['/shop.Cart/Add', '/shop.Cart/Remove', '/shop.Other/Add', '/a']),
        headers: { ...headers, 'content-type': 'application/grpc' },
      };
    case 3:
      return {
        headers: {
          ...headers,
          'x-forwarded-for': random.pick(['10.1.2.3', '1.2.3.4, 10.1.2.9', 'nonsense']),
        },
      };
    default:
      return {};
  }
}

export const modelObjects = (objects: readonly ConfigObject[]): ModelObject[] =>
  objects.map((object) => ({ object }));

import type { ConfigObject } from '../../src/config/object.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { maybe } from './draw.ts';
import type { TokenMaker } from './tokens.ts';

/*
 * Policies out of a small vocabulary that meets the requests of traffic-arbitrary.ts: who may call, what must be proved, whose tokens count.
 */

const namespaces = ['shop', 'bank', 'istio-system'];

function object(kind: string, name: string, namespace: string, spec: object): ConfigObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind,
    metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: spec as Record<string, unknown>,
  };
}

const selector = (random: Random) =>
  maybe(random, 0.5, () => ({
    selector: {
      matchLabels: random.pick([
        { app: 'web' },
        { version: 'v1' },
        { istio: 'ingressgateway' },
        { app: 'other' },
      ]),
    },
  }));

export function peerAuthentication(random: Random, index: number): ConfigObject {
  const mode = random.pick(['STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET']);
  const chosen = selector(random);
  return object('PeerAuthentication', `peers${index}`, random.pick(namespaces), {
    ...chosen,
    mtls: { mode },
    ...('selector' in chosen
      ? maybe(random, 0.4, () => ({
          portLevelMtls: { 80: { mode: random.pick(['STRICT', 'PERMISSIVE', 'DISABLE']) } },
        }))
      : {}),
  });
}

export function requestAuthentication(random: Random, index: number, keys: string): ConfigObject {
  const rule = (issuer: string) => ({
    issuer,
    jwks: keys,
    ...maybe(random, 0.4, () => ({ audiences: [random.pick(['shop', 'https://shop/', 'bank'])] })),
    ...maybe(random, 0.4, () => ({ forwardOriginalToken: true })),
    ...maybe(random, 0.2, () => ({ fromHeaders: [{ name: 'x-token', prefix: random.pick(['', 'tok ']) }] })),
    ...maybe(random, 0.2, () => ({ outputClaimToHeaders: [{ header: 'x-group', claim: 'group' }] })),
  });
  const issuers = random.pick([['issuer'], ['other'], ['issuer', 'other']]);
  return object('RequestAuthentication', `tokens${index}`, random.pick(namespaces), {
    ...selector(random),
    jwtRules: issuers.map(rule),
  });
}

const sources = [
  [
    'principals',
    ['cluster.local/ns/shop/sa/client', 'cluster.local/ns/istio-system/sa/gateway', '*', '*/client'],
  ],
  ['namespaces', ['shop', 'istio-system', 'sh*']],
  ['requestPrincipals', ['issuer/ann', 'issuer/*', '*', 'other/*']],
  ['ipBlocks', ['127.0.0.1', '10.0.0.0/8', '127.0.0.0/8']],
  ['remoteIpBlocks', ['127.0.0.1', '10.1.2.0/24', '127.0.0.0/8']],
] as const;
const operations = [
  ['paths', ['/a', '/a/*', '/b', '*', '/a/{*}', '/{**}', '/shop.Cart/*', '/v*']],
  ['methods', ['GET', 'POST', 'P*', 'OPTIONS']],
  ['hosts', ['web*', '*.example.com', '*', 'web.shop.svc.cluster.local']],
  ['ports', ['80', '8080', '443']],
] as const;
const conditions = [
  ['request.headers[x-user]', ['ann', 'b*', '*']],
  ['request.headers[x-from]', ['mesh', '*']],
  ['request.headers[x-group]', ['admin']],
  ['request.auth.claims[group]', ['admin', 'a*']],
  ['request.auth.audiences', ['shop']],
  ['source.principal', ['cluster.local/ns/shop/sa/client']],
  ['remote.ip', ['10.1.2.3']],
  ['connection.sni', ['outbound_*', '*.example.com', '*']],
] as const;

type Words = readonly (readonly [string, readonly string[]])[];

/** One or two fields, some of them negated. */
function fields(random: Random, words: Words): Record<string, string[]> {
  return Object.fromEntries(
    Array.from({ length: 1 + random.below(2) }, () => {
      const [name, values] = random.pick(words);
      const key = random.chance(0.2) ? `not${name.charAt(0).toUpperCase()}${name.slice(1)}` : name;
      return [key, [...new Set([random.pick(values), random.pick(values)])]];
    }),
  );
}

function rule(random: Random): object {
  return {
    ...maybe(random, 0.5, () => ({ from: [{ source: fields(random, sources) }] })),
    ...maybe(random, 0.5, () => ({ to: [{ operation: fields(random, operations) }] })),
    ...maybe(random, 0.3, () => {
      const [key, values] = random.pick(conditions);
      return { when: [{ key, [random.chance(0.2) ? 'notValues' : 'values']: [random.pick(values)] }] };
    }),
  };
}

export function authorizationPolicy(random: Random, index: number): ConfigObject {
  const action = random.pick(['ALLOW', 'ALLOW', 'ALLOW', 'DENY', 'DENY', 'AUDIT', 'CUSTOM']);
  const made = object('AuthorizationPolicy', `policy${index}`, random.pick(namespaces), {
    ...selector(random),
    action,
    ...(action === 'CUSTOM' ? { provider: { name: 'nobody' } } : {}),
    ...maybe(random, 0.95, () => ({
      rules: Array.from({ length: 1 + random.below(3) }, () => rule(random)),
    })),
  });
  if (action === 'AUDIT' || action === 'CUSTOM' || random.chance(0.85)) return made;
  return { ...made, metadata: { ...made.metadata, annotations: { 'istio.io/dry-run': 'true' } } };
}

/** Policies, in about two thirds of configurations. */
export function randomSecurity(random: Random, keys: string): ConfigObject[] {
  const few = (p: number, most: number) => (random.chance(p) ? 1 + random.below(most) : 0);
  return [
    ...Array.from({ length: few(0.4, 2) }, (_, index) => peerAuthentication(random, index)),
    ...Array.from({ length: few(0.5, 2) }, (_, index) => requestAuthentication(random, index, keys)),
    ...Array.from({ length: few(0.6, 3) }, (_, index) => authorizationPolicy(random, index)),
  ];
}

const hour = 3600;

/** Tokens that are good for somebody, and some that are for nobody. */
export function randomTokens(maker: TokenMaker, nowSeconds: number): readonly string[] {
  const claims = { iss: 'issuer', sub: 'ann', aud: 'shop', group: 'admin', exp: nowSeconds + hour };
  return [
    maker.sign(claims),
    maker.sign({ ...claims, group: ['guest', 'admin'] }),
    maker.sign({ ...claims, iss: 'other', sub: 'bob', aud: ['https://shop', 'bank'], group: 'guest' }),
    maker.sign({ ...claims, aud: undefined, scope: 'read write' }),
    maker.sign({ ...claims, exp: nowSeconds - hour }),
    maker.sign({ ...claims, nbf: nowSeconds + hour }),
    maker.sign({ ...claims, aud: 'elsewhere' }),
    maker.sign({ ...claims, iss: 'nobody' }),
    maker.sign(claims, { kid: 'two' }),
    maker.sign(claims, { alg: 'RS256' }),
    maker.sign(claims, { alg: 'none' }),
    `${maker.sign(claims).slice(0, -6)}AAAAAA`,
    'no.token',
  ];
}

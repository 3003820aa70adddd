import type { AskedCall, PolicyObject } from './authorization-reference.ts';
import { fc } from './properties.ts';

/** Policies and calls drawn from few words, so that they meet often. */
export const trustDomains = ['cluster.local', 'old.example'] as const;
const namespaces = ['shop', 'bank', 'a.b'];
const accounts = ['web', 'cart'];

const some = (...values: string[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const addresses = ['127.0.0.0/8', '127.0.0.1', '127.0.0.8/30', '10.0.0.0/8', '10.1.2.3'];
const principals = [
  ...['cluster.local/ns/shop/sa/web', 'old.example/ns/bank/sa/cart', 'else/ns/shop/sa/web', '*', '*/sa/web'],
  ...[
    'cluster.local/ns/shop/*',
    'cluster.local/ns/*',
    '*.sa/web',
    '*-x(/sa/cart',
    'clusterxlocal/ns/shop/sa/web',
  ],
  ...[
    '*.example/ns/bank/sa/cart',
    '*/ns/bank/sa/cart',
    'cluster.local/ns/bank/sa/c*',
    '*.b/sa/cart',
    'cluster.local*',
  ],
];
const requestPrincipals = ['issuer/ann', 'issuer/*', '*', '*/bob', 'iss*', '*nn', 'issuer/b*', 'other/ann'];
const namespacePatterns = ['shop', 'b*', '*nk', '*', 'a.b', 'aXb', 's.op'];
const serviceAccounts = ['shop/web', 'bank/cart', 'web', 'a.b/cart', 'aXb/cart'];
const domainPatterns = ['cluster.local', 'old*', '*.local', '*', 'cluster.loca'];
const hosts = ['reviews.shop.svc.cluster.local', 'Reviews.*', '*.cluster.local', '*', 'other.example'];
const methods = ['GET', 'POST', 'P*', '*T', '*'];
const paths = [
  ...['/admin', '/admin/*', '*/items', '*.html', '*', '/api/{*}/items', '/api/{**}', '/{**}/items'],
  ...['/', '/api/v1', '/api/{*}/{**}'],
];
const ports = ['9080', '80'];
const plainClaims = ['ann', 'a*', '*b', '*'];

/** Each field, and its negation, present with some chance. */
function lists(fields: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<Record<string, string[]>> {
  const entries = Object.entries(fields).flatMap(([name, values]) => [
    [name, values] as const,
    [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`, values] as const,
  ]);
  return fc
    .array(fc.constantFrom(...entries), { minLength: 1, maxLength: 2 })
    .chain((chosen) =>
      fc.tuple(...chosen.map(([name, values]) => some(...values).map((list) => [name, list] as const))),
    )
    .map((pairs) => Object.fromEntries(pairs));
}

const sources = lists({
  principals,
  requestPrincipals,
  namespaces: namespacePatterns,
  trustDomains: domainPatterns,
  ipBlocks: addresses,
  remoteIpBlocks: addresses,
});
const accountSources = lists({ serviceAccounts });
const operations = lists({ hosts, methods, paths, ports });

const conditionValues: readonly (readonly [string, readonly string[]])[] = [
  ['request.headers[X-Role]', ['admin', 'a*', '*n', '*', 'guest']],
  ['source.ip', addresses],
  ['remote.ip', addresses],
  ['source.namespace', namespacePatterns],
  ['source.principal', principals],
  ['source.serviceAccount', serviceAccounts],
  ['source.trustDomain', domainPatterns],
  ['request.auth.principal', requestPrincipals],
  ['request.auth.audiences', plainClaims],
  ['request.auth.presenter', plainClaims],
  ['request.auth.claims[group]', plainClaims],
  ['request.auth.claims[nested][role]', plainClaims],
  ['destination.ip', addresses],
  ['destination.port', ports],
  [
    'connection.sni',
    ['outbound_.9080_._.reviews.shop.svc.cluster.local', 'outbound_*', '*.local', '*', 'other'],
  ],
];
const conditions = fc.constantFrom(...conditionValues).chain(([key, values]) =>
  fc
    .record({ values: some(...values), notValues: some(...values) }, { requiredKeys: [] })
    .filter((found) => found.values !== undefined || found.notValues !== undefined)
    .map((found) => ({ key, ...found })),
);

const rules = fc.record(
  {
    from: fc
      .array(fc.oneof({ weight: 4, arbitrary: sources }, accountSources), { minLength: 1, maxLength: 2 })
      .map((list) => list.map((source) => ({ source }))),
    to: fc
      .array(operations, { minLength: 1, maxLength: 2 })
      .map((list) => list.map((operation) => ({ operation }))),
    when: fc.array(conditions, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);

export const policySets: fc.Arbitrary<PolicyObject[]> = fc
  .array(
    fc.record({
      namespace: fc.constantFrom('shop', 'istio-system'),
      action: fc.constantFrom('ALLOW', 'ALLOW', 'DENY', 'DENY', 'AUDIT', 'CUSTOM' as const),
      dryRun: fc.integer({ min: 0, max: 5 }),
      rules: fc.option(fc.array(rules, { maxLength: 3 }), { nil: undefined, freq: 10 }),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((drawn) =>
    drawn.map(
      ({ namespace, action, dryRun, rules: list }, index): PolicyObject => ({
        metadata: {
          name: `policy-${index}`,
          namespace,
          ...(dryRun === 0 && action !== 'AUDIT' && action !== 'CUSTOM'
            ? { annotations: { 'istio.io/dry-run': 'true' } }
            : {}),
        },
        spec: {
          action: action as 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM',
          ...(action === 'CUSTOM' ? { provider: { name: 'nobody' } } : {}),
          ...(list ? { rules: list } : {}),
        },
      }),
    ),
  );

export const roles = ['admin', 'guest', 'alien'];
export const requestPaths = [
  '/',
  '/admin',
  '/admin/x',
  '/api/v1',
  '/api/v1/items',
  '/api/v1/x/items',
  '/a.html',
];

const claimText = fc.constantFrom('ann', 'bob', 'eve');
const claim = fc.oneof(claimText, fc.array(claimText, { maxLength: 2 }));
const token = fc.record({
  iss: fc.constantFrom('issuer', 'other'),
  sub: fc.constantFrom('ann', 'bob'),
  aud: claim,
  azp: claimText,
  group: claim,
  nested: fc.record({ role: claim }),
});

const callers = fc.record(
  {
    identity: fc.record({
      trustDomain: fc.constantFrom(...trustDomains, 'else'),
      namespace: fc.constantFrom(...namespaces, 'aXb'),
      account: fc.constantFrom(...accounts),
    }),
    ip: fc.constantFrom('127.0.0.1', '10.1.2.3', '10.9.9.9', '192.168.0.1'),
    remoteIp: fc.constantFrom('127.0.0.1', '10.1.2.3', '192.168.0.1'),
  },
  { requiredKeys: ['ip', 'remoteIp'] },
);

export const calls: fc.Arbitrary<AskedCall> = fc.record(
  {
    caller: callers,
    http: fc.record(
      {
        method: fc.constantFrom('GET', 'POST', 'PUT'),
        path: fc.constantFrom(...requestPaths),
        host: fc.constantFrom('reviews.shop.svc.cluster.local', 'REVIEWS.other', 'other.example'),
        headers: fc
          .option(fc.constantFrom(...roles), { nil: undefined })
          .map((role): Record<string, string> => (role === undefined ? {} : { 'x-role': role })),
        token,
      },
      { requiredKeys: ['method', 'path', 'host', 'headers'] },
    ),
    ip: fc.constantFrom('127.0.0.1', '10.1.2.3'),
    port: fc.constantFrom(9080, 80, 81),
    sni: fc.constantFrom('', 'outbound_.9080_._.reviews.shop.svc.cluster.local', 'other'),
  },
  { requiredKeys: ['caller', 'ip', 'port', 'sni'] },
) as fc.Arbitrary<AskedCall>;

/** Calls that can really be made of a server on this machine: who calls from where, on which port. */
export const askableCalls: fc.Arbitrary<AskedCall> = fc
  .tuple(
    calls,
    fc.constantFrom('127.0.0.1', '127.0.0.9'),
    fc.constantFrom(...trustDomains),
    fc.constantFrom(9080, 80),
    fc.constantFrom('', '', '?a=/admin'),
  )
  .map(([{ caller, http, sni }, ip, trustDomain, port, query]): AskedCall => {
    const { identity } = caller;
    const throughProxies = http !== undefined && caller.remoteIp !== '127.0.0.1';
    return {
      caller: {
        ip,
        remoteIp: throughProxies ? caller.remoteIp : ip,
        ...(identity ? { identity: { ...identity, trustDomain } } : {}),
      },
      ...(http ? { http: { ...http, path: http.path + query } } : {}),
      ip: '127.0.0.1',
      port: http ? port : 81,
      sni: identity ? sni : '',
    };
  });

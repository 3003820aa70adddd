import { expect, test } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import { appliedPolicy } from '../features/security/authorization-policy/schema.ts';
import type { CallRecord } from './call-record.ts';
import { checkPolicies } from './check-policies.ts';
import { admits, judgePolicy } from './judge-policy.ts';
import { pathPatterns } from './path-patterns.ts';
import { suggestPolicies } from './suggest-policies.ts';
import { type PeerAuthentication, strictWherePossible } from './suggest-strict.ts';

const trustDomains = ['cluster.local'];
const workload = { namespace: 'shop', name: 'cart', selector: { app: 'cart' } };

function observed(fields: Partial<CallRecord>): CallRecord {
  return {
    ...{ type: 'http', side: 'inbound', workload: 'cart-0', start: 0, durationMs: 1, flags: [], rbac: {} },
    ...{ policies: [], morePolicies: 0, triedPolicies: [], authentications: [] },
    ...{ details: 'via_upstream', code: 200, method: 'GET', path: '/', authority: 'cart', port: 80 },
    ...{ client: '10.0.0.1:1', local: '10.0.0.2:80', upstreamHost: '127.0.0.1:80' },
    principal: 'spiffe://cluster.local/ns/shop/sa/web',
    ...fields,
  };
}

const suggest = (calls: readonly CallRecord[], dryRun = true) =>
  suggestPolicies(calls, { workloadOf: () => workload, trustDomains, dryRun });

test.each<[string[], string[]]>([
  [['/'], ['/']],
  [
    ['/a', '/b'],
    ['/a', '/b'],
  ],
  [['/items/1', '/items/22'], ['/items/{*}']],
  [['/items/0b5f7b52-9a3e-4f3b-8a52-0b5f7b529a3e/parts'], ['/items/{*}/parts']],
  [
    ['/shop.Cart/Add', '/shop.Cart/Get'],
    ['/shop.Cart/Add', '/shop.Cart/Get'],
  ],
  [
    ['/static/app.js', '/static/site.css'],
    ['/static/app.js', '/static/site.css'],
  ],
  [Array.from({ length: 9 }, (_, i) => `/users/name-${'abcdefghi'[i]}/cart`), ['/users/{*}/cart']],
  [
    ['a', 'b', 'c', 'd', 'e'].flatMap((first) => ['p', 'q', 'r'].map((last) => `/${first}/${last}`)),
    ['/a', '/a/*', '/b', '/b/*', '/c', '/c/*', '/d', '/d/*', '/e', '/e/*'],
  ],
  [
    ['/odd/*/x', '/odd/{y}'],
    ['/odd/{*}', '/odd/{*}/x'],
  ],
])('patterns of the paths %j', (paths, patterns) => {
  expect(pathPatterns(paths)).toEqual(patterns);
});

const segment = fc.constantFrom('', 'a', 'b.c', '12', 'x-y', '0123456789abcdef', '*', '{*}', '%2f', '~');
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
const someCall = fc
  .record({
    method: fc.constantFrom('GET', 'POST'),
    path: fc.oneof(path, fc.constantFrom('/', '/a/1', '/a/2')),
    principal: fc.constantFrom(
      'spiffe://cluster.local/ns/shop/sa/web',
      'spiffe://cluster.local/ns/bank/sa/pay',
    ),
    port: fc.constantFrom(80, 81),
  })
  .map(observed);

test('a suggestion takes every call that it was made from, whatever the paths', () => {
  fc.assert(
    fc.property(fc.array(someCall, { minLength: 1, maxLength: 40 }), (calls) => {
      const [suggestion] = suggest(calls);
      // Characters that no path pattern can hold make the only exception, and it is told.
      const odd = calls.filter(({ path: one = '' }) => /[*{}]/.test(one)).length;
      expect(suggestion?.refused).toBeLessThanOrEqual(odd);
      expect(suggestion?.observed).toBe(calls.length);
    }),
    { numRuns: 200 },
  );
});

test('and refuses other callers, other methods and other paths', () => {
  const [suggestion] = suggest([
    observed({ path: '/items/1' }),
    observed({ path: '/items/2', method: 'POST' }),
  ]);
  const policy = {
    ...appliedPolicy(suggestion?.policy as NonNullable<typeof suggestion>['policy']),
    dryRun: false,
  };
  const verdict = (fields: Partial<CallRecord>) => admits([policy], observed(fields), trustDomains);
  expect(verdict({ path: '/items/3' })).toBe('yes');
  expect(verdict({ path: '/items/3/x' })).toBe('no');
  expect(verdict({ path: '/items/3', method: 'DELETE' })).toBe('no');
  expect(verdict({ path: '/items/3', principal: 'spiffe://cluster.local/ns/shop/sa/other' })).toBe('no');
  expect(suggestion?.policy.metadata.annotations).toEqual({ 'istio.io/dry-run': 'true' });
});

test('who comes without an identity, or asks for what there is not, gets no rule and is told of', () => {
  const { principal: _, ...anonymous } = observed({ path: '/x' });
  const calls = [
    observed({}),
    observed({ path: '/admin.php', code: 404 }),
    anonymous,
    observed({ details: 'rbac_access_denied_matched_policy[none]', code: 403 }),
  ];
  const [suggestion] = suggest(calls, false);
  expect([suggestion?.observed, suggestion?.refused]).toEqual([3, 2]);
  expect(suggestion?.refusals.map(({ why }) => why).sort()).toEqual([
    'came without an identity',
    'was answered 404',
  ]);
  expect(suggestion?.policy.metadata.annotations).toBeUndefined();
});

test('conditions that a record says nothing of decide nothing', () => {
  const policy = appliedPolicy({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'x', namespace: 'shop' },
    spec: {
      rules: [
        { to: [{ operation: { methods: ['GET'] } }], when: [{ key: 'request.headers[x]', values: ['1'] }] },
      ],
    },
  });
  expect(judgePolicy(policy, observed({}), trustDomains).map(({ holds }) => holds)).toEqual(['unknown']);
  expect(judgePolicy(policy, observed({ method: 'PUT' }), trustDomains).map(({ holds }) => holds)).toEqual([
    'no',
  ]);
  const check = checkPolicies([observed({}), observed({ method: 'PUT' })], () => [policy], trustDomains);
  expect([check.judged, check.refused, check.undecided]).toEqual([2, 1, 1]);
});

test('STRICT is proposed where plaintext is taken and nobody sends it', () => {
  const options = {
    objects: [] as PeerAuthentication[],
    namespaceOf: () => 'shop',
    rootNamespace: 'istio-system',
    meshMode: 'PERMISSIVE',
  };
  const { principal: _, ...anonymous } = observed({});
  expect(strictWherePossible([observed({})], options).map(({ metadata }) => metadata.namespace)).toEqual([
    'shop',
  ]);
  expect(strictWherePossible([observed({}), anonymous], options)).toEqual([]);
  expect(strictWherePossible([observed({})], { ...options, meshMode: 'STRICT' })).toEqual([]);
});

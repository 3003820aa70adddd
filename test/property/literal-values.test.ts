// Values of policies are texts, never patterns, but for a `*` at an end: what the peers had to mend in 2026 (CVE-2026-39350), and before.
import { expect, test } from 'vitest';
import { buildRule, type RuleContext } from '../../src/features/security/authorization-policy/rules.ts';
import type { Rule } from '../../src/features/security/authorization-policy/schema.ts';
import { policyMatches, type RbacFacts } from '../../src/simulate/rbac.ts';

const context: RuleContext = {
  http: true,
  unknown: 'never',
  trustDomains: ['cluster.local'],
  namespace: 'shop',
};

function matches(rule: Rule, facts: Partial<RbacFacts>, more: Partial<RuleContext> = {}): boolean {
  const policy = buildRule(rule, { ...context, ...more });
  if (!policy) return false;
  return policyMatches(policy, {
    ...{
      headers: {},
      path: '/',
      destinationIp: '10.0.0.1',
      destinationPort: 80,
      sni: '',
      principal: undefined,
    },
    ...{ directRemoteIp: '10.0.0.2', remoteIp: '10.0.0.2', metadata: {} },
    ...facts,
  });
}

const as = (identity: string): Partial<RbacFacts> => ({ principal: `spiffe://${identity}` });
const source = (fields: object): Rule => ({ from: [{ source: fields }] });

test.each<[string, Rule, string, string]>([
  [
    'service accounts',
    source({ serviceAccounts: ['shop/cert.io'] }),
    'cluster.local/ns/shop/sa/cert.io',
    'cluster.local/ns/shop/sa/certXio',
  ],
  [
    'service accounts of the own namespace',
    source({ serviceAccounts: ['cert.io'] }),
    'cluster.local/ns/shop/sa/cert.io',
    'cluster.local/ns/shop/sa/cert-io',
  ],
  [
    'principals',
    source({ principals: ['cluster.local/ns/shop/sa/a.b'] }),
    'cluster.local/ns/shop/sa/a.b',
    'cluster.local/ns/shop/sa/a-b',
  ],
  ['principals by their end', source({ principals: ['*/sa/a.b'] }), 'x/ns/y/sa/a.b', 'x/ns/y/sa/a-b'],
  [
    'principals by their beginning',
    source({ principals: ['cluster.local/ns/a+*'] }),
    'cluster.local/ns/a+b/sa/c',
    'cluster.local/ns/aab/sa/c',
  ],
  [
    'namespaces',
    source({ namespaces: ['sh.p'] }),
    'cluster.local/ns/sh.p/sa/a',
    'cluster.local/ns/shop/sa/a',
  ],
  [
    'namespaces by their end',
    source({ namespaces: ['*.p'] }),
    'cluster.local/ns/sh.p/sa/a',
    'cluster.local/ns/shop/sa/a',
  ],
  ['trust domains', source({ trustDomains: ['a.example'] }), 'a.example/ns/a/sa/b', 'a-example/ns/a/sa/b'],
  [
    'namespaces as a whole',
    source({ namespaces: ['shop'] }),
    'cluster.local/ns/shop/sa/a',
    'cluster.local/ns/shop2/sa/a',
  ],
  [
    'trust domains as a whole',
    source({ trustDomains: ['cluster.local'] }),
    'cluster.local/ns/a/sa/b',
    'cluster.local.evil/ns/a/sa/b',
  ],
])('dots and other characters of patterns are themselves: %s', (_, rule, taken, refused) => {
  expect([matches(rule, as(taken)), matches(rule, as(refused))]).toEqual([true, false]);
});

test.each(['(a+)+', 'a|b', '[ab]', '^a$', 'a.', '.*', '\\d', 'a{1}'])(
  '%s is the text itself, in every field',
  (value) => {
    const other = as('cluster.local/ns/a/sa/a');
    expect(matches(source({ namespaces: [value] }), other)).toBe(false);
    expect(matches(source({ serviceAccounts: [`a/${value}`] }), other)).toBe(false);
    expect(matches(source({ principals: [`cluster.local/ns/a/sa/${value}`] }), other)).toBe(false);
    expect(matches({ to: [{ operation: { methods: [value] } }] }, { headers: { ':method': 'a' } })).toBe(
      false,
    );
    expect(matches({ to: [{ operation: { hosts: [value] } }] }, { headers: { ':authority': 'a' } })).toBe(
      false,
    );
    expect(
      matches({ when: [{ key: 'request.headers[x]', values: [value] }] }, { headers: { x: 'aa' } }),
    ).toBe(false);
  },
);

test('CVE-2020-16844: a principal’s end in a DENY policy counts on TCP connections too', () => {
  const rule = source({ principals: ['*/sa/evil'] });
  const tcp = { http: false, unknown: 'ignored' } as const;
  expect(matches(rule, { ...as('cluster.local/ns/a/sa/evil'), path: undefined }, tcp)).toBe(true);
  expect(matches(rule, { ...as('cluster.local/ns/a/sa/good'), path: undefined }, tcp)).toBe(false);
});

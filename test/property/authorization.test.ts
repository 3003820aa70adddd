import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type RBAC, RBACSchema } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { authorizationFilters } from '../../src/features/security/authorization-policy/envoy.ts';
import { appliedPolicy } from '../../src/features/security/authorization-policy/schema.ts';
import type { RbacFacts } from '../../src/simulate/rbac.ts';
import { calls, policySets, trustDomains } from '../support/authorization-arbitrary.ts';
import { type AskedCall, isAllowed, type PolicyObject } from '../support/authorization-reference.ts';
import { fc } from '../support/properties.ts';
import { evaluateFilters, unknownCondition } from '../support/rbac-filters.ts';

const runs = Number(process.env.OSTRIA_AUTHORIZATION_RUNS ?? 2_500);

function factsOf({ caller, http, ...call }: AskedCall): RbacFacts {
  const { identity } = caller;
  return {
    headers: http ? { ...http.headers, ':method': http.method, ':authority': http.host } : {},
    path: http?.path,
    destinationIp: call.ip,
    destinationPort: call.port,
    sni: call.sni,
    principal: identity
      ? `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.account}`
      : undefined,
    directRemoteIp: caller.ip,
    remoteIp: caller.remoteIp,
    unknown: unknownCondition,
    metadata: http?.token ? { 'envoy.filters.http.jwt_authn': { payload: http.token } } : {},
  };
}

/** The emitted filters as they travel. */
function emitted(policies: readonly PolicyObject[], http: boolean, port?: number): { rules?: RBAC }[] {
  const applied = policies.map((policy) =>
    appliedPolicy({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', ...policy } as never),
  );
  return authorizationFilters(
    { policies: applied, trustDomains, ...(port !== undefined ? { port } : {}) },
    http,
  ).map(({ rules }) => (rules ? { rules: fromBinary(RBACSchema, toBinary(RBACSchema, rules)) } : {}));
}

test('the emitted filters decide as the documentation says', () => {
  const decisions = { allowed: 0, refused: 0 };
  fc.assert(
    fc.property(policySets, calls, fc.boolean(), (policies, call, allocated) => {
      const filters = emitted(policies, call.http !== undefined, allocated ? call.port : undefined);
      // Where the port is allocated the connection has another one than the policy means.
      const facts = { ...factsOf(call), ...(allocated ? { destinationPort: 31_234 } : {}) };
      const expected = isAllowed(policies, call, { trustDomains });
      decisions[expected ? 'allowed' : 'refused']++;
      expect(evaluateFilters(filters, facts)).toBe(expected);
    }),
    { numRuns: runs },
  );
  expect(Math.min(decisions.allowed, decisions.refused)).toBeGreaterThan(runs / 10);
});

test.each([
  ['*.sa/web', 'spiffe://cluster.local/ns/shop/sa/web'],
  ['*a.b/sa/web', 'spiffe://cluster.local/ns/aXb/sa/web'],
  ['*|', 'spiffe://cluster.local/ns/shop/sa/web'],
  ['*)?.*(', 'spiffe://cluster.local/ns/shop/sa/web'],
])('a suffix %s is text, not an expression', (pattern, principal) => {
  const policies = [
    {
      metadata: { name: 'suffix', namespace: 'shop' },
      spec: { rules: [{ from: [{ source: { principals: [pattern] } }] }] },
    },
  ];
  const call = factsOf({
    caller: { ip: '10.0.0.1', remoteIp: '10.0.0.1' },
    http: { method: 'GET', path: '/', host: 'x', headers: {} },
    ip: '10.0.0.2',
    port: 80,
    sni: '',
  });
  expect(evaluateFilters(emitted(policies, true), { ...call, principal })).toBe(false);
  expect(
    evaluateFilters(emitted(policies, true), { ...call, principal: `spiffe://x${pattern.slice(1)}` }),
  ).toBe(true);
});

test('namespaces, service accounts and trust domains are text too', () => {
  for (const source of [
    { namespaces: ['a.b'] },
    { serviceAccounts: ['a.b/web'] },
    { trustDomains: ['a.*'] },
  ]) {
    const rules = [{ from: [{ source }] }];
    const filters = emitted([{ metadata: { name: 'x', namespace: 'shop' }, spec: { rules } }], true);
    const facts = factsOf({
      caller: {
        identity: { trustDomain: 'aXlocal', namespace: 'aXb', account: 'web' },
        ip: '10.0.0.1',
        remoteIp: '10.0.0.1',
      },
      ip: '10.0.0.2',
      port: 80,
      sni: '',
    });
    expect(evaluateFilters(filters, facts)).toBe(false);
  }
});

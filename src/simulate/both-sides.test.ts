import { expect, test } from 'vitest';
import { makeProxy } from '../../test/golden/mesh.ts';
import { worldOfYaml } from '../../test/support/mesh-world.ts';
import { roots } from '../pipeline/roots.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { rebuild } from '../snapshot/rebuild.ts';
import type { Call, SimulationOptions, SimulationResult } from './call.ts';
import { DecodedResources } from './decoded-resources.ts';
import { simulate } from './simulate.ts';
import { isExpected, serverCall, upstream } from './upstream.ts';

const mesh = `
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, namespace: shop}
spec: {address: 10.2.0.1, serviceAccount: reviews, labels: {app: reviews, security.istio.io/tlsMode: istio}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-bare, namespace: shop}
spec: {address: 10.2.0.2, labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /a}, headers: {x-user: {exact: ann}}}]
    name: first
    headers: {request: {set: {x-from: mesh}}}
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /b}}]
    name: second
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /b/c}}]
    name: third
    route: [{destination: {host: reviews}}]
  - name: rest
    route: [{destination: {host: reviews}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
    to: [{operation: {methods: [GET]}}]
  - when: [{key: "request.headers[x-from]", values: [mesh]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules: [{to: [{operation: {paths: [/admin]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tried, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: asked, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: CUSTOM
  provider: {name: gate}
  rules: [{to: [{operation: {paths: [/asked]}}]}]
`;

const provider = `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gate, namespace: shop}
spec: {hosts: [gate.shop.svc.cluster.local], resolution: STATIC, endpoints: [{address: 10.3.0.1}], ports: [{number: 9000, name: grpc, protocol: GRPC}]}
`;

const extensionProviders = [
  { name: 'gate', envoyExtAuthzGrpc: { service: 'gate.shop.svc.cluster.local', port: 9000 } },
];

function resourcesOf(spec: Parameters<typeof makeProxy>[0], yaml = mesh + provider): DecodedResources {
  return new DecodedResources(
    rebuild(
      worldOfYaml([yaml]),
      { ...defaultMeshConfig, extensionProviders: extensionProviders as never },
      makeProxy(spec),
      roots.collections,
      {
        onFailure: ({ error }) => {
          throw error;
        },
      },
    ),
  );
}

const client = resourcesOf({ name: 'web', namespace: 'shop', labels: { app: 'web' } });
const server = resourcesOf({
  name: 'reviews-v1',
  namespace: 'shop',
  ip: '10.2.0.1',
  labels: { app: 'reviews' },
});

function walk(part: Partial<Call>, options: SimulationOptions = {}, endpoint = '10.2.0.1:9080') {
  const call: Call = {
    address: '10.1.0.1',
    port: 9080,
    mode: 'outbound',
    protocol: 'http',
    tls: 'plaintext',
    host: 'reviews',
    ...part,
  };
  const first = simulate(client, call);
  const connection = upstream(client, call, first, endpoint);
  if (!connection) throw new Error('there is no connection');
  const identity = 'spiffe://cluster.local/ns/shop/sa/web';
  const reached = serverCall(call, first, connection, endpoint, { identity, sourceAddress: '10.2.0.9' });
  return { first, connection, second: simulate(server, reached, options) };
}

const stepsOf = (result: SimulationResult, stage: string) =>
  result.steps.filter((step) => step.stage === stage);

test('the connection between two sidecars: mTLS with the names of the service, plaintext without a sidecar', () => {
  const { first, connection, second } = walk({});
  expect(first.chances?.map(({ address, share }) => [address, share])).toEqual([
    ['10.2.0.1:9080', 0.5],
    ['10.2.0.2:9080', 0.5],
  ]);
  expect(connection).toMatchObject({
    tls: 'mtls',
    sni: 'outbound_.9080_._.reviews.shop.svc.cluster.local',
    certificate: 'default',
    verified: true,
    socketMatch: 'tlsMode-istio',
  });
  expect(connection.alpn).toContain('istio');
  expect(isExpected(connection, 'spiffe://cluster.local/ns/shop/sa/reviews')).toBe(true);
  expect(isExpected(connection, 'spiffe://cluster.local/ns/shop/sa/web')).toBe(false);
  expect(second).toMatchObject({ cluster: 'inbound|9080||' });
  expect(walk({}, {}, '10.2.0.2:9080').connection).toMatchObject({ tls: 'plaintext', alpn: [] });
});

test('an ALLOW rule lets the caller in, and is named; dry runs change nothing', () => {
  const { second } = walk({});
  expect(second.status).toBeUndefined();
  const [dryRun, allowed] = stepsOf(second, 'authorization');
  expect(dryRun?.decision).toMatchObject({ verdict: 'observed', action: 'DENY', wouldAllow: false });
  expect(dryRun?.origin).toMatchObject({ name: 'tried', path: 'spec.rules[0]' });
  expect(allowed).toMatchObject({
    name: 'ns[shop]-policy[readers]-rule[0]',
    origin: { kind: 'AuthorizationPolicy', name: 'readers', path: 'spec.rules[0]' },
    decision: { verdict: 'allowed', action: 'ALLOW' },
  });
});

test('where no rule allows the call, the rules that could have are named with what they ask for', () => {
  const { second } = walk({ method: 'POST' });
  expect(second).toMatchObject({
    status: 403,
    refusedBy: 'none',
    details: 'rbac_access_denied_matched_policy[none]',
  });
  const refusal = stepsOf(second, 'authorization').at(-1);
  expect(refusal?.decision?.candidates?.map(({ name }) => name)).toEqual([
    'ns[shop]-policy[readers]-rule[0]',
    'ns[shop]-policy[readers]-rule[1]',
  ]);
  expect(refusal?.alternatives?.().map(({ why }) => why)).toEqual([
    'asks for method "GET"; method is "POST"',
    'asks for header x-from "mesh"; header x-from is absent',
  ]);
});

test('headers that the client side sets are what the server side judges', () => {
  const { first, second } = walk({ method: 'POST', path: '/a/b', headers: { 'x-user': 'ann' } });
  expect(first.forwarded?.headers).toMatchObject({ 'x-from': 'mesh' });
  expect(second.status).toBeUndefined();
  expect(stepsOf(second, 'authorization').at(-1)?.name).toBe('ns[shop]-policy[readers]-rule[1]');
});

test('a DENY rule refuses before any other allows', () => {
  const { second } = walk({ path: '/x/../admin' });
  expect(second).toMatchObject({ status: 403, refusedBy: 'ns[shop]-policy[no-admin]-rule[0]' });
});

test('a CUSTOM rule asks its provider: the answer is assumed', () => {
  const asked = walk({ path: '/asked' }).second;
  expect(asked.status).toBeUndefined();
  expect(asked.assumed).toEqual(['provider gate allows the call']);
  const denied = walk({ path: '/asked' }, { verdicts: { gate: 'deny' } }).second;
  expect(denied).toMatchObject({ status: 403, details: 'ext_authz_denied' });
  expect(stepsOf(denied, 'authorization')[0]).toMatchObject({
    origin: { name: 'asked', path: 'spec.rules[0]' },
    decision: { verdict: 'refused', action: 'CUSTOM' },
  });
});

test('the routes that lost say why', () => {
  const { first } = walk({ path: '/b/c' });
  const route = stepsOf(first, 'route')[0];
  expect(route?.name).toBe('second');
  expect(route?.alternatives?.()).toMatchObject([
    { name: 'first', matches: false, why: 'path prefix /a does not match /b/c' },
    {
      name: 'third',
      matches: true,
      hiddenBy: 'second',
      why: 'never reached: second matches everything that it matches',
    },
    { name: 'rest', matches: true, why: 'second comes first' },
  ]);
  expect(stepsOf(walk({ path: '/a' }).first, 'route')[0]?.alternatives?.()[0]?.why).toBe(
    'header x-user must be "ann", it is absent',
  );
});

test('filter chains that lost say why', () => {
  const { second } = walk({});
  const whys = stepsOf(second, 'filter-chain')[0]
    ?.alternatives?.()
    .map(({ why }) => why);
  expect(whys).toContain('transport protocol raw_buffer does not match tls');
});

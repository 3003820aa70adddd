import { expect, test } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { createModel } from '../model/model.ts';
import { roots } from '../pipeline/roots.ts';
import { explain } from './explain.ts';
import type { Explanation, Stage } from './explanation.ts';
import type { Question } from './question.ts';

const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-v1}
spec: {replicas: 2, template: {metadata: {labels: {app: orders, version: v1}}, spec: {serviceAccountName: orders, containers: [{name: app}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-v2}
spec: {template: {metadata: {labels: {app: orders, version: v2}}, spec: {serviceAccountName: orders, containers: [{name: app}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
`;

const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - match: [{headers: {tester: {exact: "yes"}}}]
      route: [{destination: {host: orders, subset: v2}}]
    - match: [{uri: {prefix: /slow}}]
      timeout: 3s
      retries: {attempts: 3, retryOn: "5xx"}
      route: [{destination: {host: orders, subset: v1}}]
    - route:
        - {destination: {host: orders, subset: v1}, weight: 90}
        - {destination: {host: orders, subset: v2}, weight: 10}
    - match: [{uri: {prefix: /late}}]
      route: [{destination: {host: orders, subset: v2}}]
`;

function ask(question: Partial<Question>, ...texts: readonly string[]): Explanation {
  const objects = texts.flatMap((text, index) => parseYamlDocuments(text, `file-${index}.yaml`).objects);
  const answer = explain(createModel(objects, { roots: roots.collections }), {
    from: 'web',
    url: 'http://orders/',
    ...question,
  });
  if (!answer.ok) throw new Error(answer.error.message);
  return answer.explanation;
}

function at(explanation: Explanation, stage: Stage) {
  const found = explanation.decisions.find((decision) => decision.stage === stage);
  if (!found) throw new Error(`nothing was decided at ${stage}`);
  return found;
}

test('every proxy on the way has its decisions, in the order in which they are taken', () => {
  const { decisions, verdict } = ask({}, shop);
  expect(decisions.map(({ at: { role }, stage }) => `${role} ${stage}`)).toEqual([
    ...[
      'capture',
      'listener',
      'filter-chain',
      'virtual-host',
      'route',
      'retries',
      'cluster',
      'endpoints',
      'mtls',
    ].map((stage) => `client ${stage}`),
    ...['listener', 'filter-chain', 'application'].map((stage) => `server ${stage}`),
  ]);
  expect(verdict).toMatchObject({ outcome: 'delivered', flags: [] });
  expect(verdict.destinations.map(({ workload, percent }) => [workload, percent])).toEqual([
    ['default/orders-v1-0', 66.67],
    ['default/orders-v2-0', 33.33],
  ]);
});

test('a route says where it stands, and why those before it did not take the request', () => {
  const route = at(ask({}, shop, routes), 'route');
  expect(route.what).toBe('HTTP route 2 of VirtualService orders takes every request');
  expect(route.by?.position).toMatchObject({ file: 'file-1.yaml', line: 14 });
  expect(route.lost.map(({ what, why }) => `${what}: ${why}`)).toEqual([
    'HTTP route 0 of VirtualService orders: header tester must be "yes", it is absent',
    'HTTP route 1 of VirtualService orders: path prefix /slow does not match /',
    'HTTP route 3 of VirtualService orders: never reached: HTTP route 2 of VirtualService orders takes every request before it',
  ]);
});

test('of two VirtualServices for one host one alone decides, and the other is told', () => {
  const second = routes.replace('metadata: {name: orders}', 'metadata: {name: second-orders}');
  const { lost, by } = at(ask({}, shop, routes, second), 'route');
  expect(by?.name).toBe('orders');
  expect(lost[0]).toMatchObject({
    what: 'VirtualService second-orders',
    why: 'it names the host too, and orders comes first by name and namespace: one alone decides for a host',
    by: { position: { file: 'file-2.yaml', line: 6 } },
  });
});

test('a header decides; limits and attempts of a route are told', () => {
  const tester = ask({ headers: { Tester: 'yes' } }, shop, routes);
  expect(tester.verdict.destinations.map(({ workload }) => workload)).toEqual(['default/orders-v2-0']);
  const slow = ask({ url: 'http://orders/slow/1', method: 'POST' }, shop, routes);
  expect(at(slow, 'timeout').what).toContain('3s');
  expect(at(slow, 'retries').what).toBe(
    'up to 3 more attempts on 5xx; a POST that the destination has begun to act on may be sent again',
  );
});

test('a split is a set of destinations with their shares', () => {
  const { verdict } = ask({}, shop, routes);
  expect(verdict.destinations.map(({ workload, percent }) => [workload, percent])).toEqual([
    ['default/orders-v1-0', 90],
    ['default/orders-v2-0', 10],
  ]);
});

test('the server refuses whom no policy names, and says which rules there were', () => {
  const policy = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admins-only}
spec:
  selector: {matchLabels: {app: orders}}
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/admin]}}]}]
`;
  const refused = ask({}, shop, policy);
  expect(refused.verdict).toMatchObject({
    outcome: 'denied',
    status: 403,
    flags: [{ code: 'RBAC' }],
    by: { kind: 'AuthorizationPolicy', name: 'admins-only', path: '', position: { line: 2 } },
  });
  expect(ask({ as: 'default/admin' }, shop, policy).verdict.outcome).toBe('delivered');
});

test('a destination without endpoints, a subset that nobody defined, a path that nobody takes', () => {
  const routed = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec: {hosts: [orders], http: [${http}]}
`;
  const empty = `
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
`;
  const verdict = (question: Partial<Question>, ...texts: string[]) => ask(question, shop, ...texts).verdict;
  expect(verdict({ url: 'http://empty/' }, empty)).toMatchObject({
    outcome: 'fails',
    status: 503,
    flags: [{ code: 'UH' }],
  });
  expect(verdict({}, routed('{route: [{destination: {host: orders, subset: v9}}]}'))).toMatchObject({
    outcome: 'fails',
    status: 500,
    flags: [{ code: 'NC' }],
  });
  expect(
    verdict({}, routed('{match: [{uri: {exact: /only}}], route: [{destination: {host: orders}}]}')),
  ).toMatchObject({ outcome: 'fails', status: 404, flags: [{ code: 'NR' }] });
});

test('a client without a sidecar is refused by a server that wants mutual TLS', () => {
  const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: Pod
metadata: {name: old, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: app}]}
`;
  const { verdict } = ask({ from: 'old' }, shop, strict);
  expect(verdict).toMatchObject({ outcome: 'denied', flags: [{ code: 'UC' }] });
  expect(ask({ from: 'web' }, shop, strict).verdict.outcome).toBe('delivered');
});

test('a client outside comes in by a gateway', () => {
  const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop.example], gateways: [shop], http: [{match: [{uri: {prefix: /orders}}], route: [{destination: {host: orders}}]}]}
`;
  const { decisions, verdict } = ask({ from: 'ingress', url: 'http://shop.example/orders/7' }, shop, gateway);
  expect(new Set(decisions.map(({ at: { role } }) => role))).toEqual(new Set(['gateway', 'server']));
  expect(verdict.outcome).toBe('delivered');
  expect(ask({ from: 'ingress', url: 'http://shop.example/' }, shop, gateway).verdict).toMatchObject({
    status: 404,
    flags: [{ code: 'NR' }],
  });
});

test('who and what is unknown is answered with what was probably meant', () => {
  const refuse = (question: Partial<Question>) => {
    const objects = parseYamlDocuments(shop, 'shop.yaml').objects;
    const answer = explain(createModel(objects, { roots: roots.collections }), {
      from: 'web',
      url: 'http://orders/',
      ...question,
    });
    return answer.ok ? 'answered' : `${answer.error.code}: ${answer.error.message}`;
  };
  expect(refuse({ from: 'order-v1' })).toBe(
    'CallerUnknown: there is no workload order-v1; did you mean orders-v1, orders-v2?',
  );
  expect(refuse({ from: 'orders' })).toBe(
    'CallerUnknown: orders can be orders-v1.default, orders-v2.default; say which',
  );
  expect(refuse({ url: 'tcp://orders' })).toContain('tcp has no port of its own');
  expect(refuse({ url: 'ftp://orders' })).toContain('the scheme can be http, https');
  expect(refuse({ as: 'admin' })).toContain('namespace/serviceAccount');
});

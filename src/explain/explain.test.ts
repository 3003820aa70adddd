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

test.each([
  ['without routes of its own, where its only route speaks for it', [shop]],
  ['with routes that others made', [shop, routes]],
])('a host tells who made it, %s', (_, texts) => {
  const { by } = at(ask({}, ...texts), 'virtual-host');
  expect(by).toMatchObject({ kind: 'Service', name: 'orders', position: { file: 'file-0.yaml' } });
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
  const { verdict, decisions } = ask({ from: 'old' }, shop, strict);
  const by = { kind: 'PeerAuthentication', name: 'default', path: 'spec.mtls', position: { line: 5 } };
  expect(verdict).toMatchObject({ outcome: 'denied', by, flags: [{ code: 'UC' }] });
  expect(verdict.summary).toContain('takes mutual TLS only (PeerAuthentication default)');
  expect(decisions.at(-1)).toMatchObject({ stage: 'filter-chain', by });
  expect(ask({ from: 'web' }, shop, strict).verdict.outcome).toBe('delivered');
});

test('a client without a sidecar that calls the address of one pod reaches that one', () => {
  const plain = `
apiVersion: v1
kind: Pod
metadata: {name: old, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: app}]}
`;
  const workloads = (url: string) =>
    ask({ from: 'old', url }, shop, plain).verdict.destinations.map(({ workload, percent }) => [
      workload,
      percent,
    ]);
  expect(workloads('http://orders/')).toEqual([
    ['default/orders-v1-1', 50],
    ['default/orders-v2-0', 50],
  ]);
  const { address } =
    ask({ from: 'old', url: 'http://orders/' }, shop, plain).verdict.destinations.find(
      ({ workload }) => workload === 'default/orders-v2-0',
    ) ?? {};
  // The port of a Service is not open at a pod; the address alone says whose it is.
  for (const url of [`http://${address}/`, `http://${address?.split(':')[0]}/`])
    expect(workloads(url)).toEqual([['default/orders-v2-0', 100]]);
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

test.each([
  ['its own label', 'template: {metadata: {labels: {app: web, ostria.io/lazy: "true"}}', ''],
  [
    'the label of its namespace',
    'template: {metadata: {labels: {app: web}}',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {ostria.io/lazy: "true"}}\n',
  ],
  [
    'the mesh',
    'template: {metadata: {labels: {app: web}}',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: "defaultConfig: {proxyMetadata: {OSTRIA_LAZY: \'true\'}}"}\n',
  ],
])(
  'a sidecar that is lazy by %s answers as after the load, and says that the first request waits for it',
  (_, template, more) => {
    const lazy = shop.replace('template: {metadata: {labels: {app: web}}', template);
    const texts = [lazy, routes, ...(more === '' ? [] : [more])];
    const { decisions, verdict } = ask({ headers: { tester: 'yes' } }, ...texts);
    expect(verdict).toEqual({
      ...ask({ headers: { tester: 'yes' } }, shop, routes).verdict,
    });
    expect(decisions[1]).toMatchObject({ at: { role: 'client' }, stage: 'capture' });
    expect(decisions[1]?.what).toContain('the sidecar is lazy');
    expect(decisions.filter(({ what }) => what.includes('lazy'))).toHaveLength(1);
  },
);

test('of hosts that nobody configured, and that may not be called, a lazy sidecar knows none: 404 instead of 502', () => {
  const closed = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
`;
  const lazy = shop.replace('labels: {app: web}', 'labels: {app: web, ostria.io/lazy: "true"}');
  const url = 'http://elsewhere.example/';
  expect(ask({ url }, shop, closed).verdict).toMatchObject({ outcome: 'fails', status: 502 });
  expect(ask({ url }, lazy, closed).verdict).toMatchObject({
    outcome: 'fails',
    status: 404,
    flags: [{ code: 'NR' }],
  });
});

const inPlain = (portName: string) =>
  shop
    .replace('{name: http, port: 80,', `{name: ${portName}, port: 80,`)
    .replace('  host: orders\n', '  host: orders\n  trafficPolicy: {tls: {mode: DISABLE}}\n');
const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {mtls: {mode: STRICT}}
`;

test.each([
  // BoringSSL hangs up on requests that it knows by their first bytes, and answers others with an alert.
  ['GET', 'http', 503, 'UC'],
  ['POST', 'http', 503, 'UC'],
  ['DELETE', 'http', 502, 'UPE'],
  ['GET', 'grpc', 502, 'UPE'],
])(
  'plaintext (%s by %s) to a server that waits for TLS is answered %d (%s)',
  (method, portName, status, code) => {
    const { verdict } = ask({ method }, inPlain(portName), strict);
    expect(verdict).toMatchObject({ outcome: 'denied', status, flags: [{ code }] });
    expect(verdict.destinations[0]?.by?.kind).toBe('PeerAuthentication');
  },
);

test('to a gRPC client the same is a status of gRPC', () => {
  const call = { url: 'grpc://orders/Get', headers: { 'content-type': 'application/grpc' } };
  const { verdict } = ask(call, inPlain('grpc'), strict);
  expect(verdict).toMatchObject({ outcome: 'denied', status: 200, flags: [{ code: 'UPE' }] });
});

test('a policy whose rules are about requests refuses connections without HTTP, and is named', () => {
  const tcp = shop.replace('{name: http, port: 80,', '{name: tcp, port: 80,');
  const readers = policy('readers', '{rules: [{to: [{operation: {methods: [GET]}}]}]}');
  const { verdict } = ask({ url: 'tcp://orders:80' }, tcp, readers);
  expect(verdict).toMatchObject({ outcome: 'denied', destinations: [{ by: { name: 'readers' } }, {}] });
  expect(verdict.summary).toContain('AuthorizationPolicy readers has rules about requests of HTTP only');
});

test('a sidecar that is not lazy says nothing of it', () => {
  expect(ask({}, shop, routes).decisions.filter(({ what }) => what.includes('lazy'))).toEqual([]);
});

test('workloads that share an address are told apart by the ports of their entries', () => {
  const entry = (name: string, port: number, more = '') =>
    `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: ${name}}\nspec: {address: 10.0.0.9, ports: {http: ${port}}, labels: {app: ${name}}${more}}\n`;
  const entries = `${entry('old', 7001)}---\n${entry('other', 7002)}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: old}
spec: {hosts: [old.example], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: old}}}
`;
  const { verdict } = ask({ url: 'http://old.example/' }, shop, entries);
  expect(verdict.destinations).toEqual([
    expect.objectContaining({ address: '10.0.0.9:7001', workload: 'default/old', outcome: 'delivered' }),
  ]);
});

const policy = (name: string, spec: string) =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

test('where no ALLOW rule matches, the nearest one is named', () => {
  const readers = policy(
    'readers',
    `{selector: {matchLabels: {app: orders}}, rules: [
      {from: [{source: {principals: [cluster.local/ns/default/sa/admin]}}], to: [{operation: {methods: [POST]}}]},
      {to: [{operation: {methods: [HEAD]}}]}]}`,
  );
  const { summary, by } = ask({}, shop, readers).verdict;
  expect(summary).toContain(
    'is refused with 403: no ALLOW rule in force allows it; rule 1 of AuthorizationPolicy readers is nearest: it asks for method "HEAD"; method is "GET"',
  );
  expect(by).toMatchObject({ name: 'readers', path: '' });
  expect(by?.words).not.toContain('matched');
});

test.each([
  ['of the workload', policy('nothing', '{selector: {matchLabels: {app: orders}}}')],
  ['of the namespace', policy('nothing', '{}')],
  ['of the mesh', policy('nothing, namespace: istio-system', '{}')],
])('a policy %s without rules refuses everything, and is named', (_, text) => {
  const elsewhere = [
    policy('of-others', '{selector: {matchLabels: {app: other}}}'),
    policy('for-trial, annotations: {istio.io/dry-run: "true"}', '{}'),
    policy('denies-nothing', '{action: DENY}'),
  ];
  const { verdict } = ask({}, shop, ...elsewhere, text);
  expect(verdict.summary).toContain(
    'no ALLOW rule allows it: AuthorizationPolicy nothing has none, which refuses everything',
  );
  expect(verdict).toMatchObject({ outcome: 'denied', by: { name: 'nothing', path: '' } });
  expect(ask({}, shop, ...elsewhere).verdict.outcome).toBe('delivered');
});

const secureGateway = (mode: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: ${mode}, serverCertificate: /certs/tls.crt, privateKey: /certs/tls.key, caCertificates: /certs/ca.crt}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: ["*"], gateways: [shop], http: [{route: [{destination: {host: orders}}]}]}
`;

test('a gateway that asks for no certificate sees none; a client outside may call from any address', () => {
  const url = 'https://shop.example/';
  const outside = { from: 'ingress', url, as: 'outside/partner' };
  const plain = ask(outside, shop, secureGateway('SIMPLE'));
  expect(plain.verdict.outcome).toBe('delivered');
  expect(plain.assumptions.join()).toContain('asks for no certificate');
  expect(ask(outside, shop, secureGateway('MUTUAL')).assumptions.join()).not.toContain('certificate');
  const office = policy(
    'office, namespace: istio-system',
    '{selector: {matchLabels: {istio: ingressgateway}}, rules: [{from: [{source: {ipBlocks: [192.0.2.0/24]}}]}]}',
  );
  const from = (address?: string) =>
    ask({ from: 'ingress', url, ...(address ? { address } : {}) }, shop, secureGateway('SIMPLE'), office);
  expect(from().verdict.outcome).toBe('denied');
  expect(from('192.0.2.7').verdict.outcome).toBe('delivered');
});

test('a gateway that wants HTTPS says where it redirects to', () => {
  const redirecting = secureGateway('SIMPLE').replace(
    /servers: .*/,
    'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}]}',
  );
  const { verdict } = ask({ from: 'ingress', url: 'http://shop.example/a?b=c' }, shop, redirecting);
  expect(verdict).toMatchObject({ outcome: 'answered', status: 301 });
  expect(verdict.summary).toContain('go to https://shop.example/a?b=c');
});

test('a split with one destination that is not there fails for its share alone', () => {
  const split = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec: {hosts: [orders], http: [{route: [{destination: {host: orders, subset: v9}, weight: 25}, {destination: {host: orders, subset: v2}, weight: 75}]}]}
`;
  const { verdict } = ask({}, shop, split);
  expect(verdict.destinations.map(({ percent, outcome, status }) => [percent, outcome, status])).toEqual([
    [25, 'fails', 500],
    [75, 'delivered', undefined],
  ]);
  expect(verdict.summary).toContain('in 25 % of the cases fails with 500');
});

test('a rewrite that makes no path of a path: the server ends the connection, and is said to', () => {
  const rewriting = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
  - rewrite: {uriRegexRewrite: {match: '^/(.*)$', rewrite: '\\1'}}
    route: [{destination: {host: orders}}]
`;
  const { verdict } = ask({ from: 'web', url: 'http://orders/a' }, shop, rewriting);
  expect(verdict).toMatchObject({ outcome: 'fails', status: 503, flags: [{ code: 'UC' }] });
  expect(verdict.summary).toContain('a is no path, as it does not begin with /');
});

test('whether a host or port that nobody declares answers is not known: mostly it is a slip of the pen', () => {
  const host = ask({ url: 'http://order/' }, shop);
  expect(host.verdict.outcome).toBe('unknown');
  expect(host.verdict.summary).toContain('no service of the mesh is called order (did you mean orders?)');
  expect(ask({ url: 'http://orders:81/' }, shop).verdict).toMatchObject({
    outcome: 'unknown',
    summary: expect.stringContaining('orders.default.svc.cluster.local declares port 80, not 81'),
  });
  expect(ask({ url: 'tcp://10.1.2.3:99' }, shop).verdict).toMatchObject({
    outcome: 'unknown',
    summary: expect.stringContaining('no service of the mesh has the address 10.1.2.3'),
  });
  expect(ask({}, shop).assumptions.join()).not.toContain('taken to');
});

test('what is declared, or blocked, or led into the mesh is known', () => {
  const declared = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: ['*.example.com'], ports: [{number: 443, name: tls, protocol: TLS}], resolution: NONE}
`;
  expect(ask({ url: 'tls://api.example.com:443' }, shop, declared).verdict.outcome).toBe('delivered');
  const led = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: old-name}
spec: {hosts: [old.example], http: [{route: [{destination: {host: orders}}]}]}
`;
  const inside = ask({ url: 'http://old.example/' }, shop, led);
  expect(inside.verdict.outcome).toBe('delivered');
  expect(inside.assumptions.join()).toContain('DNS is taken to know it');
  const other = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner}
spec: {hosts: [partner.example], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}
`;
  const away = led.replace('destination: {host: orders}', 'destination: {host: partner.example}');
  expect(ask({ url: 'http://old.example/' }, shop, away, other).verdict.outcome).toBe('delivered');
  const blocking = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
`;
  expect(ask({ url: 'http://order/' }, shop, blocking).verdict.outcome).toBe('fails');
});

test('bytes to a port that takes HTTP fail, and say what would mend it', () => {
  const outside = { from: 'ingress', url: 'tcp://shop.example:80' };
  const { verdict } = ask(
    outside,
    shop,
    secureGateway('SIMPLE')
      .replace('443', '80')
      .replace(/protocol: HTTPS(.*), tls.*}}]}/, 'protocol: HTTP$1}]}'),
  );
  expect(verdict).toMatchObject({ outcome: 'fails', status: 400, flags: [{ code: 'DPE' }] });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { opensslCertificate } from '../../../test/support/authority.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../config/object.ts';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { analyze } from '../analyze.ts';
import { analyzers } from '../index.ts';

const registry = createBuiltInRegistry();
const judge = ({ apiVersion, ...object }: ConfigObject) => {
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  return registry.byKind(group, object.kind)?.validate?.({ apiVersion, ...object }) ?? [];
};

/** What our own analyzers find, each as `CODE path`. */
function find(...yaml: string[]): string[] {
  return findAt(0, ...yaml);
}

function findAt(now: number, ...yaml: string[]): string[] {
  const { objects, problems } = parseYamlDocuments(yaml.join('\n---\n'), 'mesh.yaml');
  expect(problems).toEqual([]);
  const chosen = analyzers.filter(({ name }) => name.startsWith('ostria.'));
  return analyze(objects, { analyzers: chosen, judge, now }).map(
    ({ code, path, resource }) => `${code} ${resource} ${path}`,
  );
}

const object = (kind: string, name: string, spec: string, namespace = 'shop') => {
  const group = kind.endsWith('Route')
    ? 'gateway.networking.k8s.io/v1'
    : /Policy|Authentication/.test(kind)
      ? 'security.istio.io/v1'
      : 'networking.istio.io/v1';
  return `apiVersion: ${group}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}`;
};
const routes = (rule: string) => object('VirtualService', 'a', `{hosts: [a], http: [${rule}]}`);
const service = (name: string, port = 'http', namespace = 'shop') =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: {app: ${name}}, ports: [{name: ${port}, port: 80}]}`;

test('ports of protocols that stock Envoy does not understand', () => {
  const entry = object(
    'ServiceEntry',
    'db',
    '{hosts: [db.test], resolution: DNS, ports: [{number: 5432, name: pg, protocol: POSTGRES}, {number: 80, name: http, protocol: HTTP}]}',
  );
  expect(find(service('a', 'mysql-main'), service('b', 'mongo'), service('c', 'mysqlx'), entry)).toEqual([
    'OST0110 Service shop/a spec.ports[0]',
    'OST0110 ServiceEntry shop/db spec.ports[0]',
  ]);
});

const pod = (name: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: {app: ${name}}}\nspec: {}`;

describe('retries', () => {
  const to = 'route: [{destination: {host: a}}]';
  test.each<[string, string, string[]]>([
    [
      'after the fact',
      `{${to}, retries: {attempts: 2, retryOn: "5xx,reset"}}`,
      ['OST0101 VirtualService shop/a spec.http[0].retries.retryOn'],
    ],
    [
      'of codes',
      `{${to}, retries: {attempts: 2, retryOn: "503"}}`,
      ['OST0101 VirtualService shop/a spec.http[0].retries.retryOn'],
    ],
    ['before the fact', `{${to}, retries: {attempts: 2, retryOn: "connect-failure,refused-stream"}}`, []],
    ['of reads alone', `{${to}, match: [{method: {exact: GET}}], retries: {attempts: 2, retryOn: 5xx}}`, []],
    ['switched off', `{${to}, retries: {attempts: 0, retryOn: 5xx}}`, []],
    [
      'without time',
      `{${to}, timeout: 2s, retries: {attempts: 2, perTryTimeout: 2s}}`,
      ['OST0102 VirtualService shop/a spec.http[0].retries.perTryTimeout'],
    ],
    ['with time', `{${to}, timeout: 5s, retries: {attempts: 2, perTryTimeout: 2s}}`, []],
  ])('%s', (_, rule, found) => {
    expect(find(routes(rule))).toEqual(found);
  });
});

test('a host that looks short', () => {
  const rule = (host: string) => object('DestinationRule', 'r', `{host: ${host}}`);
  expect(find(service('reviews', 'http', 'prod'), rule('reviews.prod'))).toEqual([
    'OST0103 DestinationRule shop/r spec.host',
  ]);
  expect(find(service('reviews', 'http', 'prod'), rule('reviews.prod.svc.cluster.local'))).toEqual([]);
  expect(find(service('reviews', 'http', 'prod'), rule('example.com'))).toEqual([]);
  const virtual = object(
    'VirtualService',
    'v',
    '{hosts: [reviews.prod], http: [{route: [{destination: {host: reviews.prod.svc}}]}]}',
  );
  expect(find(service('reviews', 'http', 'prod'), virtual)).toEqual([
    'OST0103 VirtualService shop/v spec.hosts[0]',
    'OST0103 VirtualService shop/v spec.http[0].route[0].destination.host',
  ]);
});

describe('a route of the Gateway API for the same Service', () => {
  const virtual = (spec = '', namespace = 'shop') =>
    object(
      'VirtualService',
      'v',
      `{hosts: [reviews], ${spec}http: [{route: [{destination: {host: reviews}}]}]}`,
      namespace,
    );
  const route = (parent: string, namespace = 'shop') =>
    object('HTTPRoute', 'r', `{parentRefs: [${parent}], rules: []}`, namespace);
  const parent = '{group: "", kind: Service, name: reviews, port: 80}';
  const found = ['OST0111 VirtualService shop/v spec.hosts[0]'];

  test('leaves the VirtualService without effect inside the mesh', () => {
    expect(find(service('reviews'), virtual(), route(parent))).toEqual(found);
    const consumer = '{group: "", kind: Service, name: reviews, namespace: shop}';
    expect(find(service('reviews'), virtual(), route(consumer, 'web'))).toEqual(found);
  });

  test.each([
    ['at gateways', virtual('gateways: [edge], '), route(parent)],
    ['of another Service', virtual(), route('{group: "", kind: Service, name: ratings}')],
    ['of a Gateway', virtual(), route('{name: reviews}')],
  ])('does nothing %s', (_, one, other) => {
    expect(find(service('reviews'), one, other).filter((line) => line.startsWith('OST0111'))).toEqual([]);
  });
});

describe('destination rules', () => {
  const rule = (policy: string, name = 'r') =>
    object('DestinationRule', name, `{host: reviews, trafficPolicy: ${policy}}`);
  const peer = (mode: string, selector = '', namespace = 'shop', name = mode.toLowerCase()) =>
    object('PeerAuthentication', name, `{${selector}mtls: {mode: ${mode}}}`, namespace);

  test('plaintext to servers that take mutual TLS alone', () => {
    const plain = rule('{tls: {mode: DISABLE}}');
    const found = ['OST0104 DestinationRule shop/r spec.trafficPolicy.tls.mode'];
    expect(find(service('reviews'), pod('reviews'), plain, peer('STRICT'))).toEqual(found);
    expect(find(service('reviews'), plain, peer('STRICT', '', 'istio-system'))).toEqual(found);
    expect(find(service('reviews'), pod('reviews'), plain, peer('PERMISSIVE'))).toEqual([]);
    const narrow = peer('PERMISSIVE', 'selector: {matchLabels: {app: reviews}}, ');
    expect(find(service('reviews'), pod('reviews'), plain, peer('STRICT'), narrow)).toEqual([]);
    expect(
      find(service('reviews'), pod('reviews'), rule('{tls: {mode: ISTIO_MUTUAL}}'), peer('STRICT')),
    ).toEqual([]);
  });

  test('two for one host', () => {
    expect(find(rule('{}', 'a'), rule('{}', 'b'))).toEqual([
      'OST0107 DestinationRule shop/b spec.trafficPolicy',
    ]);
    expect(
      find(rule('{}', 'a'), object('DestinationRule', 'b', '{host: reviews, subsets: [{name: v1}]}')),
    ).toEqual([]);
  });

  test('a failover that cannot happen', () => {
    const failover = 'loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}';
    expect(find(rule(`{${failover}}`))).toEqual([
      'OST0108 DestinationRule shop/r spec.trafficPolicy.loadBalancer.localityLbSetting',
    ]);
    expect(find(rule(`{${failover}, outlierDetection: {}}`))).toEqual([]);
  });
});

describe('policies', () => {
  const policy = (rules: string, action = 'ALLOW') =>
    object(
      'AuthorizationPolicy',
      'p',
      `{selector: {matchLabels: {app: db}}, action: ${action}, rules: [${rules}]}`,
    );
  const methods = '{to: [{operation: {methods: [GET]}}]}';

  test('HTTP fields where no HTTP is spoken', () => {
    const found = ['OST0105 AuthorizationPolicy shop/p spec.rules[0].to[0].operation.methods'];
    expect(find(service('db', 'tcp'), pod('db'), policy(methods))).toEqual(found);
    expect(find(service('db', 'http'), pod('db'), policy(methods))).toEqual([]);
    expect(find(service('db', 'tcp'), pod('db'), policy('{to: [{operation: {ports: ["80"]}}]}'))).toEqual([]);
  });

  test('claims that nobody verifies', () => {
    const claims = policy('{when: [{key: "request.auth.claims[group]", values: [a]}]}');
    const jwt = (app: string) =>
      object('RequestAuthentication', 'j', `{selector: {matchLabels: {app: ${app}}}, jwtRules: []}`);
    expect(find(pod('db'), claims)).toEqual(['OST0106 AuthorizationPolicy shop/p spec.rules[0].when[0].key']);
    expect(find(pod('db'), claims, jwt('web'))).toEqual([
      'OST0106 AuthorizationPolicy shop/p spec.rules[0].when[0].key',
    ]);
    expect(find(pod('db'), claims, jwt('db'))).toEqual([]);
  });
});

test('certificates of Kubernetes’ Gateways and Ingresses that have ended', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-served-'));
  try {
    const pair = opensslCertificate({ directory, name: 'shop' });
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const objects = [
      `apiVersion: v1
kind: Secret
metadata: {name: shop, namespace: shop}
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}}`,
      `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec:
  gatewayClassName: istio
  listeners:
  - {name: plain, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: other}, {name: shop, namespace: shop}]}}`,
      `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door, namespace: shop}
spec: {tls: [{hosts: [a.example.com], secretName: shop}], defaultBackend: {service: {name: a, port: {number: 80}}}}`,
    ];
    const found = [
      'OST0109 Gateway edge/front spec.listeners[1].tls.certificateRefs[1]',
      'OST0109 Ingress shop/door spec.tls[0].secretName',
    ];
    const now = Date.now();
    expect(findAt(now + 1_000, ...objects)).toEqual([]);
    expect(findAt(now + 365 * 86_400_000, ...objects).sort()).toEqual(found);
    expect(findAt(0, ...objects).sort()).toEqual(found);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

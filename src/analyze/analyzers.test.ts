import { describe, expect, test } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { analyze } from './analyze.ts';
import { analyzers } from './index.ts';
import { messageCodes } from './message-codes.ts';

/** What one analyzer finds, each as `CODE Resource @path`. */
function find(name: string, yaml: string, now = Date.UTC(2026, 0)): string[] {
  const { objects, problems } = parseYamlDocuments(yaml, 'mesh.yaml');
  expect(problems).toEqual([]);
  const chosen = analyzers.filter((analyzer) => analyzer.name === name);
  expect(chosen).toHaveLength(1);
  const messages = analyze(objects, { analyzers: chosen, judge: () => [], now });
  return messages.map(({ code, resource, path }) => `${code} ${resource} @${path}`);
}

const object = (apiVersion: string, kind: string, name: string, rest: string) =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name}, namespace: shop }\n${rest}\n---\n`;
const pod = (name: string, labels: string, spec = '{}') =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name}, namespace: shop, labels: ${labels} }\nspec: ${spec}\n---\n`;
const networking = 'networking.istio.io/v1';

test('names are unique, and every analyzer says what it reads', () => {
  expect(new Set(analyzers.map(({ name }) => name)).size).toBe(analyzers.length);
  expect(analyzers.filter(({ inputs }) => inputs.length === 0)).toEqual([]);
  expect(Object.keys(messageCodes).filter((code) => !/^(IST|OST)0\d{3}$/.test(code))).toEqual([]);
});

test('Sidecars in each other’s way, or for nobody', () => {
  const sidecar = (name: string, selector?: string) =>
    object(
      networking,
      'Sidecar',
      name,
      selector ? `spec: { workloadSelector: { labels: ${selector} } }` : 'spec: {}',
    );
  const analyzer = 'sidecar.SelectorAnalyzer';
  expect(find(analyzer, sidecar('a') + sidecar('b', '{ app: web }') + pod('web', '{ app: web }'))).toEqual(
    [],
  );
  expect(find(analyzer, sidecar('a') + sidecar('b'))).toEqual([
    'IST0111 Sidecar shop/a @',
    'IST0111 Sidecar shop/b @',
  ]);
  const two = sidecar('a', '{ app: web }') + sidecar('b', '{ tier: front }');
  expect(find(analyzer, two + pod('web', '{ app: web, tier: front }'))).toEqual([
    'IST0110 Sidecar shop/a @spec.workloadSelector',
    'IST0110 Sidecar shop/b @spec.workloadSelector',
  ]);
  expect(find(analyzer, sidecar('a', '{ app: web }'))).toEqual([
    'IST0101 Sidecar shop/a @spec.workloadSelector',
  ]);
});

test('settings of the mesh are looked into', () => {
  const settings = (key: string, text: string) =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata: { ${key}: ${JSON.stringify(text)} }\n`;
  const config = 'schema.ValidationAnalyzer.MeshConfig';
  expect(find(config, settings('mesh', 'trustDomain: example.org'))).toEqual([]);
  const wrong = ['IST0106 ConfigMap istio-system/istio @data.mesh'];
  expect(find(config, settings('mesh', 'proxyListenPort: 99999'))).toEqual(wrong);
  expect(find(config, settings('mesh', 'a: [b'))).toEqual(wrong);
  expect(find(config, settings('mesh', 'text'))).toEqual(wrong);
  expect(
    find(
      'schema.ValidationAnalyzer.MeshNetworks',
      settings('meshNetworks', 'networks: {a: {endpoints: [{}]}}'),
    ),
  ).toEqual(['IST0106 ConfigMap istio-system/istio @data.meshNetworks']);
});

test('Telemetries', () => {
  const telemetry = (name: string, spec: string) =>
    object('telemetry.istio.io/v1', 'Telemetry', name, `spec: ${spec}`);
  const silent = telemetry('a', '{ accessLogging: [{ disabled: true }, {}] }');
  expect(find('telemetry.ProviderAnalyzer', silent)).toEqual([
    'IST0157 Telemetry shop/a @spec.accessLogging[1]',
  ]);
  const settings = `apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    defaultProviders: { accessLogging: [envoy] }
    extensionProviders: [{ name: old, lightstep: { service: x, port: 1 } }]
---
`;
  expect(find('telemetry.ProviderAnalyzer', settings + silent)).toEqual([]);
  expect(find('telemetry.DefaultSelectorAnalyzer', telemetry('a', '{}') + telemetry('b', '{}'))).toEqual([
    'IST0160 Telemetry shop/a @',
    'IST0160 Telemetry shop/b @',
  ]);
  const traced = telemetry('a', '{ tracing: [{ providers: [{ name: old }] }] }');
  expect(find('telemetry.LightstepAnalyzer', settings + traced)).toEqual([
    'IST0002 Telemetry shop/a @spec.tracing[0].providers',
  ]);
});

test('one host in several VirtualServices, and only if somebody sees both', () => {
  const route = (name: string, exportTo: string) =>
    object(networking, 'VirtualService', name, `spec: { hosts: [cart], exportTo: [${exportTo}] }`);
  const analyzer = 'virtualservice.ConflictingMeshGatewayHostsAnalyzer';
  expect(find(analyzer, route('a', '"*"') + route('b', '.'))).toHaveLength(2);
  expect(find(analyzer, route('a', 'bank') + route('b', '.'))).toEqual([]);
});

test('routing by claims needs somebody to check the token', () => {
  const mesh =
    object(networking, 'Gateway', 'door', 'spec: { selector: { app: door } }') +
    pod('door-1', '{ app: door }') +
    object(
      networking,
      'VirtualService',
      'web',
      'spec: { gateways: [door], http: [{ match: [{ headers: { "@request.auth.claims.sub": { exact: a } } }] }] }',
    );
  const check = (selector: string) =>
    object(
      'security.istio.io/v1',
      'RequestAuthentication',
      'jwt',
      `spec: { selector: { matchLabels: { app: ${selector} } } }`,
    );
  const analyzer = 'virtualservice.JWTClaimRouteAnalyzer';
  expect(find(analyzer, mesh)).toEqual(['IST0149 VirtualService shop/web @spec.http[0].match[0].headers']);
  expect(find(analyzer, mesh + check('web'))).toHaveLength(1);
  expect(find(analyzer, mesh + check('door'))).toEqual([]);
});

test('service entries: addresses and protocols', () => {
  const entry = (name: string, rest: string) =>
    object(networking, 'ServiceEntry', name, `spec: { hosts: [db.example.com], ${rest} }`);
  const tcp = 'ports: [{ number: 5432, name: a, protocol: TCP }]';
  const analyzer = 'serviceentry.Analyzer';
  expect(find(analyzer, entry('a', tcp))).toEqual(['IST0134 ServiceEntry shop/a @spec.ports[0]']);
  expect(find(analyzer, entry('a', `${tcp}, addresses: [10.0.0.1]`))).toEqual([]);
  // It gets an address of its own.
  expect(find(analyzer, entry('a', `${tcp}, resolution: DNS`))).toEqual([]);
  const other = entry('b', 'ports: [{ number: 5432, name: b, protocol: HTTP }]');
  const protocols = 'serviceentry.ConflictingServiceEntryProtocolAnalyzer';
  expect(find(protocols, entry('a', tcp) + other)).toHaveLength(2);
  expect(find(protocols, entry('a', tcp) + entry('b', tcp))).toEqual([]);
});

test('one port of a workload with two protocols and two numbers', () => {
  const mesh = (second: string) => `apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
${object('apps/v1', 'Deployment', 'web', 'spec: { template: { metadata: { labels: { app: web } } } }')}
${object('v1', 'Service', 'a', 'spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }')}
${object('v1', 'Service', 'b', `spec: { selector: { app: web }, ports: [{ ${second}, targetPort: 8080 }] }`)}`;
  const analyzer = 'deployment.MultiServiceAnalyzer';
  expect(find(analyzer, mesh('name: http, port: 80'))).toEqual([]);
  expect(find(analyzer, mesh('name: tcp, port: 80'))).toEqual(['IST0116 Deployment shop/web @']);
  expect(find(analyzer, mesh('name: http, port: 81'))).toEqual(['IST0137 Deployment shop/web @']);
});

test('authorization policies for nobody, and from nowhere', () => {
  const policy = object(
    'security.istio.io/v1',
    'AuthorizationPolicy',
    'p',
    'spec: { selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { namespaces: [bank, "sh*"] } }] }] }',
  );
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n---\n';
  const analyzer = 'auth.AuthorizationPoliciesAnalyzer';
  expect(find(analyzer, policy + pod('web', '{ app: web }'))).toEqual([]);
  expect(find(analyzer, policy)).toEqual(['IST0127 AuthorizationPolicy shop/p @spec.selector']);
  expect(find(analyzer, namespace + policy + pod('web', '{ app: web }'))).toEqual([
    'IST0101 AuthorizationPolicy shop/p @spec.rules[0].from[0].source.namespaces[0]',
  ]);
});

test('injectors that exclude each other are told apart by their selectors', () => {
  const injector = (name: string, selector: string) => `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: ${name} }
webhooks: [{ name: sidecar-injector.istio.io, clientConfig: { url: "https://x" }, namespaceSelector: ${selector} }]
---
`;
  const labelled = injector('a', '{ matchLabels: { istio-injection: enabled } }');
  const without = injector('b', '{ matchExpressions: [{ key: istio-injection, operator: DoesNotExist }] }');
  const other = injector(
    'c',
    '{ matchExpressions: [{ key: istio-injection, operator: NotIn, values: [disabled] }] }',
  );
  expect(find('webhook.Analyzer', labelled + without)).toEqual([]);
  expect(find('webhook.Analyzer', labelled + other)).toHaveLength(2);
});

test('certificates shared by gateways of one workload, and networks of clusters that have not joined', () => {
  const gateway = (name: string, selector: string) =>
    object(
      networking,
      'Gateway',
      name,
      `spec: { selector: ${selector}, servers: [{ tls: { credentialName: cert } }] }`,
    );
  const analyzer = 'gateway.CertificateAnalyzer';
  expect(find(analyzer, gateway('a', '{ app: x }') + gateway('b', '{ app: x, tier: y }'))).toHaveLength(2);
  expect(find(analyzer, gateway('a', '{ app: x }') + gateway('b', '{ app: y }'))).toEqual([]);
  const networks = `apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  meshNetworks: "networks: { n1: { endpoints: [{ fromRegistry: Kubernetes }, { fromRegistry: west }] } }"
`;
  expect(find('meshnetworks.MeshNetworksAnalyzer', networks)).toEqual([
    'IST0126 ConfigMap istio-system/istio @data.meshNetworks',
  ]);
});

test('key fetching of a control plane that is not kept from inner addresses', () => {
  const mesh = `${object('security.istio.io/v1', 'RequestAuthentication', 'jwt', 'spec: { jwtRules: [{ issuer: a, jwksUri: "https://a" }] }')}
apiVersion: apps/v1
kind: Deployment
metadata: { name: istiod, namespace: istio-system, labels: { app: istiod } }
spec: { template: { spec: { containers: [{ name: discovery }] } } }
`;
  expect(find('authn.BlockedCIDRsAnalyzer', mesh)).toEqual([
    'IST0175 Deployment istio-system/istiod @spec.template.spec.containers',
  ]);
});

describe('rules that are never reached', () => {
  const analyzer = 'virtualservice.UnreachableRuleAnalyzer';
  const rules = (...http: string[]) =>
    find(
      analyzer,
      object(
        networking,
        'VirtualService',
        'web',
        `spec: { gateways: [mesh, door], http: [${http.join(', ')}] }`,
      ),
    );
  const match = (...matches: string[]) => `{ match: [${matches.join(', ')}] }`;
  const never = (rule: number) => [`IST0130 VirtualService shop/web @spec.http[${rule}]`];

  test('after one that takes everything, in whatever words', () => {
    for (const all of [
      '{}',
      match('{ uri: { prefix: / } }'),
      match('{ uri: { exact: /x } }', '{ uri: { prefix: / } }'),
    ])
      expect(rules(all, match('{ uri: { exact: /a } }'))).toEqual(never(1));
    expect(rules(match('{ uri: { exact: /a } }'), '{}')).toEqual([]);
    // A delegate may leave requests to the next rule.
    expect(rules('{ delegate: { name: other } }', '{}')).toEqual([]);
  });

  test('prefixes, headers, ports, gateways and labels', () => {
    const covered: [string, string][] = [
      ['{ uri: { prefix: /a } }', '{ uri: { prefix: /a/b } }'],
      ['{ uri: { prefix: /a } }', '{ uri: { exact: /ab }, method: { exact: GET } }'],
      ['{ headers: { x: {} } }', '{ headers: { x: { exact: a }, y: { exact: b } } }'],
      ['{ uri: { regex: "/a.*" } }', '{ uri: { regex: "/a.*" }, port: 80 }'],
      ['{ gateways: [mesh, door] }', '{ uri: { exact: /a } }'],
      ['{ sourceLabels: { app: a } }', '{ sourceLabels: { app: a, version: v1 } }'],
    ];
    for (const [wide, narrow] of covered) {
      expect(rules(match(wide), match(narrow)), `${wide} before ${narrow}`).toEqual(never(1));
      expect(rules(match(narrow), match(wide)), `${narrow} before ${wide}`).toEqual([]);
    }
    const apart: [string, string][] = [
      ['{ uri: { prefix: /a }, ignoreUriCase: true }', '{ uri: { prefix: /B } }'],
      ['{ gateways: [door] }', '{ uri: { exact: /a } }'],
      ['{ withoutHeaders: { x: {} } }', '{ uri: { exact: /a } }'],
      ['{ uri: { regex: "/.*" } }', '{ uri: { exact: /a } }'],
    ];
    for (const [one, other] of apart) expect(rules(match(one), match(other))).toEqual([]);
  });

  test('a match among others', () => {
    expect(
      rules(match('{ uri: { exact: /a } }'), match('{ uri: { exact: /b } }', '{ uri: { exact: /a } }')),
    ).toEqual(['IST0131 VirtualService shop/web @spec.http[1].match[1]']);
  });
});

test('definitions of the Gateway API whose versions are not read, or will not be', () => {
  const definition = (plural: string, ...versions: string[]) =>
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: ${plural} }\nspec: { versions: [${versions
      .map((name) => `{ name: ${name.replace('-', '')}, served: ${!name.startsWith('-')} }`)
      .join(', ')}] }\n---\n`;
  const told = (plural: string, ...versions: string[]) =>
    find('k8sgateway.CRDVersionAnalyzer', definition(`${plural}.gateway.networking.k8s.io`, ...versions)).map(
      (line) => line.split(' ')[0],
    );
  expect(told('httproutes', 'v1', 'v1beta1')).toEqual([]);
  expect(told('httproutes', 'v1')).toEqual([]);
  expect(told('httproutes', 'v1beta1')).toEqual(['IST0172']);
  expect(told('httproutes', '-v1', 'v1beta1')).toEqual(['IST0172']);
  expect(told('gateways', 'v1alpha2')).toEqual(['IST0156']);
  expect(told('grpcroutes', 'v1alpha2')).toEqual(['IST0156']);
  expect(told('referencegrants', 'v1beta1')).toEqual([]);
  expect(told('referencegrants', 'v1alpha2')).toEqual(['IST0156']);
  expect(find('k8sgateway.CRDVersionAnalyzer', definition('widgets.example.com', 'v1alpha1'))).toEqual([]);
});

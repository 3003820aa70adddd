import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { opensslCertificate } from '../../../test/support/authority.ts';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { checkSecurity } from './check-security.ts';
import type { SecurityFacts } from './finding.ts';

const tight: SecurityFacts = {
  rootNamespace: 'istio-system',
  defaultMtlsMode: 'STRICT',
  outboundTrafficPolicy: 'REGISTRY_ONLY',
  standalone: false,
  allowFetch: [],
  certificates: [],
  listeners: {},
  now: Date.UTC(2026, 0, 1),
};

function found(yaml: string, facts: Partial<SecurityFacts> = {}): string[] {
  const { objects, problems } = parseYamlDocuments(yaml, 'in.yaml');
  expect(problems).toEqual([]);
  return checkSecurity(objects, { ...tight, ...facts }).map(
    ({ code, level, path, position }) =>
      `${level} ${code} ${path}${position ? ` ${position.line}:${position.column}` : ''}`,
  );
}

const object = (kind: string, spec: string, metadata = 'name: x, namespace: shop') => {
  const group = /Authentication|AuthorizationPolicy/.test(kind) ? 'security' : 'networking';
  return `apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: {${metadata}}\nspec:\n  ${spec}\n`;
};

test.each<[string, string, string[]]>([
  [
    'plaintext beside mutual TLS',
    object('PeerAuthentication', 'mtls: {mode: PERMISSIVE}'),
    ['High MtlsPermissive spec.mtls.mode 5:10'],
  ],
  [
    'plaintext on a port',
    object('PeerAuthentication', 'portLevelMtls: {"80": {mode: DISABLE}}'),
    ['High MtlsDisabled spec.portLevelMtls.80.mode 5:26'],
  ],
  ['STRICT', object('PeerAuthentication', 'mtls: {mode: STRICT}'), []],
  [
    'TLS turned off',
    object(
      'DestinationRule',
      'host: a, trafficPolicy: {tls: {mode: DISABLE}}'.replace('host: a, ', 'host: a\n  '),
    ),
    ['High TlsTurnedOff spec.trafficPolicy.tls.mode 6:25'],
  ],
  [
    'a server that nobody looks at',
    object(
      'DestinationRule',
      'host: a\n  subsets: [{name: v, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}]',
    ),
    ['High CertificateNotVerified spec.subsets[0].trafficPolicy.tls.insecureSkipVerify 6:59'],
  ],
  [
    'an empty rule',
    object('AuthorizationPolicy', 'rules: [{}]'),
    ['High AllowsEverybody spec.rules[0] 5:11'],
  ],
  ['an empty rule that refuses', object('AuthorizationPolicy', 'action: DENY\n  rules: [{}]'), []],
  [
    'any caller',
    object('AuthorizationPolicy', 'rules: [{to: [{operation: {methods: [GET]}}]}]'),
    ['Medium AnyCaller spec.rules[0] 5:11'],
  ],
  [
    'any identity',
    object('AuthorizationPolicy', 'rules: [{from: [{source: {principals: ["*"]}}]}]'),
    ['Medium AnyIdentity spec.rules[0].from[0].source.principals 5:29'],
  ],
  [
    'a rule for one caller',
    object('AuthorizationPolicy', 'rules: [{from: [{source: {principals: [td/ns/a/sa/b]}}]}]'),
    [],
  ],
  [
    'tokens that nobody asks for',
    object('RequestAuthentication', 'jwtRules: [{issuer: a, jwksUri: "https://a/keys"}]'),
    ['Medium TokenNotRequired spec.jwtRules 5:3'],
  ],
  [
    'tokens that a policy asks for',
    `${object('RequestAuthentication', 'jwtRules: [{issuer: a, jwksUri: "https://a/keys"}]')}---\n${object('AuthorizationPolicy', 'rules: [{from: [{source: {requestPrincipals: [a/b]}}]}]')}`,
    [],
  ],
  [
    'a door without TLS',
    object('Gateway', 'servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}]'),
    ['Medium GatewayWithoutTls spec.servers[0].port 5:14'],
  ],
  [
    'one that sends to HTTPS',
    object(
      'Gateway',
      'servers: [{port: {number: 80, name: http, protocol: HTTP}, tls: {httpsRedirect: true}, hosts: [a.example]}]',
    ),
    [],
  ],
  [
    'old TLS',
    object(
      'Gateway',
      'servers: [{port: {number: 443, name: s, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}, hosts: [a.example]}]',
    ),
    ['High OldTlsVersion spec.servers[0].tls.minProtocolVersion 5:100'],
  ],
  [
    'a patch that removes RBAC',
    object(
      'EnvoyFilter',
      'configPatches: [{applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {subFilter: {name: envoy.filters.http.rbac}}}}}, patch: {operation: REMOVE}}]',
    ),
    ['High SecurityFilterRemoved spec.configPatches[0] 5:19'],
  ],
  [
    'a patch of something else',
    object(
      'EnvoyFilter',
      'configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 1s}}}]',
    ),
    [],
  ],
])('%s', (_, yaml, expected) => {
  expect(found(yaml)).toEqual(expected);
});

const service = `apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {selector: {app: cart}}\n`;
const readers = (metadata: string) =>
  `${service}---\n${object('AuthorizationPolicy', 'selector: {matchLabels: {app: cart}}\n  rules: [{from: [{source: {namespaces: [web]}}]}]', metadata)}`;

test('workloads without an ALLOW policy, or with one that is only tried', () => {
  expect(found(service)).toEqual(['Medium NoAuthorizationPolicy  1:1']);
  expect(found(readers('name: x, namespace: shop'))).toEqual([]);
  expect(found(readers('name: x, namespace: istio-system'))).toEqual([]);
  expect(found(readers('name: x, namespace: other'))).toEqual(['Medium NoAuthorizationPolicy  1:1']);
  expect(found(readers('name: x, namespace: shop, annotations: {istio.io/dry-run: "true"}'))).toEqual([
    'Medium NoAuthorizationPolicy  1:1',
  ]);
});

test('the installation: defaults, unknown hosts, fetches from private ranges, authorities that end', () => {
  expect(found('', { defaultMtlsMode: 'PERMISSIVE', outboundTrafficPolicy: 'ALLOW_ANY' })).toEqual([
    'High MtlsPermissive ',
    'Medium AnyDestination outboundTrafficPolicy.mode',
  ]);
  expect(
    found(object('PeerAuthentication', 'mtls: {mode: STRICT}', 'name: d, namespace: istio-system'), {
      defaultMtlsMode: 'PERMISSIVE',
    }),
  ).toEqual([]);
  expect(found('', { standalone: true, allowFetch: ['0.0.0.0/0', '10.0.0.1/32'] })).toEqual([
    'High PrivateFetchAllowed allowFetch',
    'Low PrivateFetchAllowed allowFetch',
    'Info LocalProcesses ',
  ]);
  const ending = (days: number) => [{ what: 'root', notAfter: new Date(tight.now + days * 86_400_000) }];
  expect(found('', { certificates: ending(40) })).toEqual([]);
  expect(found('', { certificates: ending(20) })).toEqual(['Medium CertificateEnds ']);
  expect(found('', { certificates: ending(-1) })).toEqual(['High CertificateEnds ']);
});

test('ports of the control plane that ask nobody who he is, and certificates that nobody renews', () => {
  const loopback = { api: '127.0.0.1', xds: '0.0.0.0', monitoring: '127.0.0.1' };
  expect(found('', { listeners: loopback, firstWorkloadEnd: new Date(tight.now + 12 * 3_600_000) })).toEqual(
    [],
  );
  expect(found('', { listeners: { insecureXds: '127.0.0.1', monitoring: '10.0.0.1' } })).toEqual([
    'High InsecureXds --insecure-xds',
    'Low MonitoringReachable --monitoring',
  ]);
  expect(found('', { firstWorkloadEnd: new Date(tight.now + 600_000) })).toEqual([
    'Low WorkloadCertificateEnds ',
  ]);
});

const kubernetesGateway = (listener: string) =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: x, namespace: shop}\nspec: {gatewayClassName: istio, listeners: [${listener}]}\n`;
const redirect = (filter: string) =>
  `---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\nspec: {parentRefs: [{name: x, sectionName: http}], rules: [{filters: [${filter}]}]}\n`;

test('listeners of Gateway API gateways', () => {
  const http = kubernetesGateway('{name: http, port: 80, protocol: HTTP}');
  const open = 'Medium GatewayWithoutTls spec.listeners[0].protocol 4:68';
  expect(found(http)).toEqual([open]);
  const toHttps = '{type: RequestRedirect, requestRedirect: {scheme: https}}';
  expect(found(http + redirect(toHttps))).toEqual([]);
  expect(found(http + redirect('{type: RequestRedirect, requestRedirect: {hostname: b}}'))).toEqual([open]);
  expect(found(kubernetesGateway('{name: s, port: 443, protocol: HTTPS}'))).toEqual([]);
  const anyone = '{name: s, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}';
  expect(found(kubernetesGateway(anyone))).toEqual([
    expect.stringMatching(/^Low AnyNamespace spec\.listeners\[0\]\.allowedRoutes\.namespaces\.from /),
  ]);
});

test('certificates that gateways serve', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-check-'));
  try {
    const { certificate } = opensslCertificate({ directory, name: 'door', ca: false, days: 90 });
    const secret = `---\n${JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'door', namespace: 'edge' } },
      data: { 'tls.crt': Buffer.from(certificate).toString('base64') },
    })}\n`;
    const pod = '---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: edge, labels: {a: b}}\n';
    const server =
      '{port: {number: 443, protocol: HTTPS, name: h}, hosts: [a], tls: {mode: SIMPLE, credentialName: door}}';
    const gateway = object('Gateway', `selector: {a: b}\n  servers: [${server}]`);
    const other = kubernetesGateway(
      '{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: door, namespace: edge}]}}',
    );
    const at = (days: number) => ({ now: Date.now() + days * 86_400_000 });
    for (const yaml of [gateway + pod + secret, other + secret]) {
      expect(found(yaml, at(0))).toEqual([]);
      expect(found(yaml, at(70))).toEqual([expect.stringMatching(/^Medium GatewayCertificateEnds /)]);
      expect(found(yaml, at(91))).toEqual([expect.stringMatching(/^High GatewayCertificateEnds /)]);
    }
    // Nobody serves it.
    expect(found(gateway + secret, at(91))).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

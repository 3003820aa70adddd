import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Model } from '../../model/model.ts';
import { modelOf, sourceOfFiles } from '../explain/model-source.ts';
import { parseCertificates } from './certificates-of.ts';
import { describeServices, describeWorkloads } from './describe.ts';
import { formatCertificates, formatService, formatWorkload } from './format-description.ts';
import { validateFiles } from './validate-files.ts';

const text = `apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews}}
spec: {serviceAccountName: reviews, containers: [{name: reviews, image: reviews}, {name: istio-proxy, image: proxy}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: v1}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: everything, namespace: shop}
spec: {hosts: ['*'], gateways: [edge], http: [{route: [{destination: {host: other}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions, namespace: shop}
spec: {host: reviews.shop.svc.cluster.local, subsets: [{name: v1, labels: {app: reviews}}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: pages, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{from: [{source: {namespaces: [front]}}], to: [{operation: {methods: [GET]}}]}]
`;

let directory: string;
let file: string;
let model: Model;
const plain = new Proxy({}, { get: () => (words: string) => words }) as never;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-describe-'));
  file = join(directory, 'shop.yaml');
  writeFileSync(file, text);
  model = modelOf(await sourceOfFiles([file], {}));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('a service: who answers, what routes to it and which policies stand before it, each with its line', () => {
  const [service] = describeServices(model, 'reviews', undefined);
  expect(service).toMatchObject({
    service: 'reviews.shop.svc.cluster.local',
    ports: [{ name: 'http', port: 9080, protocol: 'HTTP' }],
    endpoints: [{ workload: 'reviews-1', healthy: true, mtls: true }],
  });
  expect(service?.routing.map(({ kind, name, says }) => [kind, name, says])).toEqual([
    ['VirtualService', 'split', 'routes requests to it'],
    ['DestinationRule', 'versions', 'subsets v1'],
  ]);
  expect(service?.routing[0]?.at).toMatch(/shop\.yaml:11:1$/);
  expect(service?.policies.map(({ name }) => name)).toEqual(['default', 'pages']);
  const words = service ? formatService(service, plain) : '';
  expect(words).toContain('Ports: 9080 HTTP (http)');
  expect(words).toMatch(/AuthorizationPolicy shop\/pages +selects app=reviews +.*shop\.yaml:\d+:1/);
  expect(() => describeServices(model, 'nope', undefined)).toThrow('there are reviews.shop');
});

test('a workload: identity, mutual TLS with who asked for it, and who may call', () => {
  const [workload] = describeWorkloads(model, 'reviews-1.shop', undefined);
  expect(workload).toMatchObject({
    workload: 'shop/reviews-1',
    serviceAccount: 'reviews',
    proxy: 'sidecar',
    services: ['reviews.shop.svc.cluster.local'],
    mtls: { mode: 'STRICT', by: { kind: 'PeerAuthentication', name: 'default' } },
    callers: ['allows namespaces front for methods GET (pages)', 'refuses everybody else'],
  });
  const words = workload ? formatWorkload(workload, 'in sync', undefined, plain) : '';
  expect(words).toContain('Mutual TLS: STRICT (PeerAuthentication shop/default)');
  expect(words).toContain('Proxy: sidecar, in sync');
  expect(() => describeWorkloads(model, 'reviews-1', 'elsewhere')).toThrow('there is no workload');
});

const edge = `apiVersion: v1
kind: Pod
metadata: {name: edge-0, namespace: web, labels: {istio: edge, gateway.networking.k8s.io/gateway-name: public}}
spec: {serviceAccountName: edge, containers: [{name: istio-proxy, image: proxy, args: [proxy, router]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop-gateway, namespace: shop}
spec: {selector: {istio: edge}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example], tls: {mode: SIMPLE, credentialName: shop}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public, namespace: shop}
spec: {hosts: [shop.example], gateways: [shop-gateway], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: web}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pages, namespace: shop}
spec: {parentRefs: [{name: public, namespace: web}], hostnames: [pages.example], rules: [{backendRefs: [{name: reviews, port: 9080}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: partners, namespace: web}
spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}], rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: waypoint-only, namespace: shop}
spec: {targetRefs: [{group: '', kind: Service, name: reviews}], rules: [{}]}
`;

test('a gateway: the Gateways that it serves, the routes bound to them, and policies attached by reference', async () => {
  const more = join(directory, 'edge.yaml');
  writeFileSync(more, edge);
  const mesh = modelOf(await sourceOfFiles([file, more], {}));
  const [gateway] = describeWorkloads(mesh, 'edge-0', 'web');
  expect(gateway).toMatchObject({ proxy: 'router', identity: 'spiffe://cluster.local/ns/web/sa/edge' });
  expect(gateway?.mtls).toBeUndefined();
  expect(gateway?.gateways?.map(({ kind, name, says }) => [kind, name, says])).toEqual([
    ['Gateway', 'shop-gateway', 'serves HTTPS shop.example on 443'],
    ['Gateway', 'public', 'serves HTTP * on 80'],
    ['VirtualService', 'public', 'routes shop.example (gateway shop-gateway)'],
    ['HTTPRoute', 'pages', 'routes pages.example (Gateway public)'],
  ]);
  expect(gateway?.policies.map(({ name, says }) => [name, says])).toEqual([
    ['partners', 'attached to Gateway public'],
  ]);
  expect(gateway?.callers).toEqual(['allows anybody for methods GET (partners)', 'refuses everybody else']);
  const [service] = describeServices(mesh, 'reviews', undefined);
  expect(service?.policies[0]).toMatchObject({
    name: 'waypoint-only',
    says: expect.stringContaining('it does nothing'),
  });
  // Sidecars of the namespace are no gateways: what is attached to one is not theirs.
  const [sidecar] = describeWorkloads(mesh, 'reviews-1.shop', undefined);
  expect(sidecar?.policies.map(({ name }) => name)).toEqual(['default', 'pages']);
  expect(sidecar?.gateways).toBeUndefined();
});

test('certificates: each once, its own before what is trusted, and how long they last', () => {
  const own = (serial: string, end: string) => ({
    serial_number: serial,
    subject_alt_names: [{ uri: 'spiffe://cluster.local/ns/shop/sa/reviews' }],
    valid_from: '2026-11-27T00:00:00Z',
    expiration_time: end,
  });
  const root = { serial_number: 'aa', subject_alt_names: [], expiration_time: '2036-01-01T00:00:00Z' };
  const one = { ca_cert: [root], cert_chain: [own('01', '2026-11-28T00:00:00Z')] };
  const held = parseCertificates({ certificates: [one, one, { ca_cert: [root] }] });
  expect(held.map(({ what, serial }) => [what, serial])).toEqual([
    ['own', '01'],
    ['root', 'aa'],
  ]);
  const words = (at: string) => formatCertificates(held, Date.parse(at), plain);
  expect(words('2026-11-27T12:00:00Z')).toMatch(
    /sa\/reviews +ends in 12h +2026-11-28T00:00:00Z {2}01\n +root /,
  );
  expect(words('2026-11-29T00:00:00Z')).toContain('has ended');
  expect(formatCertificates('it is elsewhere', 0, plain)).toBe('Certificates: not known: it is elsewhere\n');
});

test('validate judges as the server does, with the line', () => {
  expect(validateFiles([file], {}).findings).toEqual([]);
  const bad = join(directory, 'bad.yaml');
  writeFileSync(bad, text.replace('mode: STRICT', 'mode: STRICTLY').replace('kind: Pod', 'kind: Podd'));
  const { findings } = validateFiles([bad], {});
  expect(findings.filter(({ severity }) => severity === 'error').map(({ object }) => object)).toEqual(
    expect.arrayContaining(['PeerAuthentication shop/default']),
  );
  expect(findings.find(({ object }) => object === 'PeerAuthentication shop/default')?.at).toMatch(
    /bad\.yaml:31:\d+$/,
  );
  expect(findings).toContainEqual(
    expect.objectContaining({ severity: 'warning', object: 'Podd shop/reviews-1' }),
  );
  const broken = join(directory, 'broken.yaml');
  writeFileSync(broken, 'kind: [');
  expect(validateFiles([broken], {}).findings[0]).toMatchObject({
    severity: 'error',
    at: expect.stringContaining('broken.yaml:1'),
  });
});

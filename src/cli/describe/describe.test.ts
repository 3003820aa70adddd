import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Model } from '../../model/model.ts';
import { modelOf, sourceOfFiles } from '../explain/model-source.ts';
import { describeServices, describeWorkloads } from './describe.ts';
import { formatService, formatWorkload } from './format-description.ts';
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
  const words = workload ? formatWorkload(workload, 'in sync', plain) : '';
  expect(words).toContain('Mutual TLS: STRICT (PeerAuthentication shop/default)');
  expect(words).toContain('Proxy: sidecar, in sync');
  expect(() => describeWorkloads(model, 'reviews-1', 'elsewhere')).toThrow('there is no workload');
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

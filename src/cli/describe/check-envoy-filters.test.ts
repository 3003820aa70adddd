import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { envoyPath } from '../../../test/support/envoy.ts';
import { formatCheck } from '../commands/envoyfilter.ts';
import { modelOf, sourceOfFiles } from '../explain/model-source.ts';
import { checkEnvoyFilters, checkInEnvoy, type EnvoyFilterCheck } from './check-envoy-filters.ts';

const text = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}, {name: istio-proxy, image: proxy}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: own, namespace: shop}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND, cluster: {service: web.shop.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
  - applyTo: CLUSTER
    match: {cluster: {service: gone.shop.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
  - applyTo: VIRTUAL_HOST
    match: {context: GATEWAY}
    patch: {operation: MERGE, value: {include_request_attempt_count: true}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: mesh, namespace: istio-system}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {service: web.shop.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 4s}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: nobody, namespace: shop}
spec:
  workloadSelector: {labels: {app: other}}
  configPatches:
  - applyTo: CLUSTER
    patch: {operation: MERGE, value: {connect_timeout: 5s}}
`;

let directory: string;
let check: EnvoyFilterCheck;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-filters-'));
  const file = join(directory, 'filters.yaml');
  writeFileSync(file, text);
  check = checkEnvoyFilters(modelOf(await sourceOfFiles([file], {})));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('each patch: what it changes, or why it changes nothing', () => {
  const cluster = 'Cluster outbound|80||web.shop.svc.cluster.local';
  expect(check.patches).toMatchObject([
    {
      filter: 'shop/own',
      index: 0,
      state: 'hits',
      proxies: ['shop/web-1'],
      resources: expect.arrayContaining([cluster]),
    },
    {
      filter: 'shop/own',
      index: 1,
      state: 'dead',
      why: expect.stringMatching(/gone\.shop.*the 1 selected proxy holds .*web\.shop/),
    },
    {
      filter: 'shop/own',
      index: 2,
      state: 'dead',
      why: 'its context is GATEWAY, and no gateway is selected',
    },
    { filter: 'istio-system/mesh', index: 0, state: 'hits' },
    {
      filter: 'shop/nobody',
      index: 0,
      state: 'no proxy',
      why: 'no proxy in namespace shop has the labels app=other',
    },
  ]);
  expect(check.patches[1]?.at).toMatch(/filters\.yaml:19:5$/);
});

test('where several filters meet, their order', () => {
  const outbound = check.shared.find(
    ({ resource }) => resource === 'Cluster outbound|80||web.shop.svc.cluster.local',
  );
  // Those of the root namespace come first.
  expect(outbound?.patches).toEqual([
    'istio-system/mesh spec.configPatches[0]',
    'shop/own spec.configPatches[0]',
  ]);
  const plain = new Proxy({}, { get: () => (words: string) => words }) as never;
  const words = formatCheck(check, plain);
  expect(words).toContain('✘ [2] MERGE VIRTUAL_HOST');
  expect(words).toContain('! [0] MERGE CLUSTER');
  expect(words).toContain('is changed by several filters, in this order:');
});

test('a real Envoy is asked, and what it refuses is traced to the patches', async () => {
  const envoy = await envoyPath();
  const check = async (value: string) => {
    const file = join(directory, 'one.yaml');
    const own = text.slice(0, text.indexOf('---\napiVersion: networking'));
    writeFileSync(
      file,
      `${own}---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: one, namespace: shop}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {service: web.shop.svc.cluster.local}}
    patch: {operation: MERGE, value: ${value}}
`,
    );
    return checkInEnvoy(modelOf(await sourceOfFiles([file], {})), envoy);
  };
  expect((await check('{connect_timeout: 3s}')).broken).toEqual([]);
  expect((await check('{lb_policy: CLUSTER_PROVIDED}')).broken).toContainEqual({
    proxy: 'shop/web-1',
    resource: 'Cluster outbound|80||web.shop.svc.cluster.local',
    message: expect.stringMatching(/^cluster manager: cluster provided LB specified but/),
    patches: ['shop/one spec.configPatches[0]'],
  });
  await expect(
    checkInEnvoy(modelOf(await sourceOfFiles([join(directory, 'one.yaml')], {})), '/nowhere/envoy'),
  ).rejects.toThrow('Envoy ended at once');
});

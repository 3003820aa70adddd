import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import { createKubectl, findKubectl, type Kubectl } from '../../../test/support/kubectl.ts';

const found = findKubectl();
const title =
  'missing' in found ? `real kubectl (skipped: ${found.missing})` : `real kubectl ${found.version}`;

const virtualService = (host: string, extra = '') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [${host}]
${extra}
  http:
  - route:
    - destination: {host: reviews, subset: v1}
`;

const service = (ports: string) => `
apiVersion: v1
kind: Service
metadata: {name: reviews, labels: {app: reviews}}
spec:
  selector: {app: reviews}
  ports: ${ports}
`;

describe.skipIf('missing' in found)(title, () => {
  let api: TestApi;
  let kubectl: Kubectl;
  beforeAll(async () => {
    api = await startTestApi();
    kubectl = createKubectl('path' in found ? found.path : '', api.kubeconfig, api.directory);
  });
  afterAll(() => api.close());
  const apply = (input: string, ...args: string[]) => kubectl.run(['apply', '-f', '-', ...args], { input });

  test('apply creates, changes and leaves alone', async () => {
    const created = await apply(`${virtualService('reviews')}---${service('[{name: http, port: 9080}]')}`);
    expect(created.stdout).toContain('virtualservice.networking.istio.io/reviews created');
    expect(created.stdout).toContain('service/reviews created');
    expect((await apply(virtualService('reviews'))).stdout).toContain('reviews unchanged');
    expect((await apply(virtualService('other'))).stdout).toContain('reviews configured');
    const object = JSON.parse(
      await kubectl.ok(['get', 'vs', 'reviews', '-o', 'json', '--show-managed-fields']),
    );
    expect(object.spec.hosts).toEqual(['other']);
    expect(object.metadata.generation).toBe(2);
    const [manager] = object.metadata.managedFields;
    expect(manager).toMatchObject({ manager: 'kubectl-client-side-apply', operation: 'Update' });
    expect(manager.fieldsV1['f:spec']['f:hosts']).toEqual({});
  });

  test('apply refuses unknown fields and wrong types, and changes nothing', async () => {
    const before = await kubectl.ok(['get', 'vs', 'reviews', '-o', 'jsonpath={.metadata.resourceVersion}']);
    const unknown = await apply(virtualService('x', '  hots: [a]'));
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('strict decoding error: unknown field "spec.hots"');
    const wrong = await apply(virtualService('x', '  gateways: 7'));
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('spec.gateways');
    expect(await kubectl.ok(['get', 'vs', 'reviews', '-o', 'jsonpath={.metadata.resourceVersion}'])).toBe(
      before,
    );
  });

  test('client-side apply of a core kind merges lists by their keys', async () => {
    await apply(service('[{name: http, port: 9080}]'));
    await kubectl.ok(['patch', 'svc', 'reviews', '-p', '{"spec":{"ports":[{"name":"admin","port":9000}]}}']);
    await apply(service('[{name: http, port: 9080, appProtocol: http2}]'));
    const ports = JSON.parse(await kubectl.ok(['get', 'svc', 'reviews', '-o', 'jsonpath={.spec.ports}']));
    expect(ports.map((port: { name: string }) => port.name).sort()).toEqual(['admin', 'http']);
    expect(ports.find((port: { name: string }) => port.name === 'http')).toMatchObject({
      appProtocol: 'http2',
      protocol: 'TCP',
    });
  });

  test('apply --server-side: ownership, conflict, force', async () => {
    const config = (value: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {a: "${value}", b: "2"}\n`;
    await kubectl.ok(['apply', '--server-side', '-f', '-'], { input: config('1') });
    const conflict = await apply(config('2'), '--server-side', '--field-manager=other');
    expect(conflict.code).toBe(1);
    expect(conflict.stderr).toContain('Apply failed with 1 conflict: conflict with "kubectl": .data.a');
    await kubectl.ok(['apply', '--server-side', '--field-manager=other', '--force-conflicts', '-f', '-'], {
      input: config('2'),
    });
    await kubectl.ok(['apply', '--server-side', '--field-manager=other', '-f', '-'], {
      input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa}\ndata: {c: "3"}\n',
    });
    // a was other's alone and goes; b is kubectl's too and stays.
    expect(JSON.parse(await kubectl.ok(['get', 'cm', 'ssa', '-o', 'jsonpath={.data}']))).toEqual({
      b: '2',
      c: '3',
    });
  });

  test('apply --server-side takes over from client-side apply without a conflict', async () => {
    const config = (value: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: csa}\ndata: {a: "${value}"}\n`;
    await kubectl.ok(['apply', '-f', '-'], { input: config('1') });
    await kubectl.ok(['apply', '--server-side', '-f', '-'], { input: config('2') });
    const object = JSON.parse(await kubectl.ok(['get', 'cm', 'csa', '-o', 'json', '--show-managed-fields']));
    expect(object.data).toEqual({ a: '2' });
    const managers = object.metadata.managedFields.map(
      (one: { manager: string; operation: string }) => `${one.manager}/${one.operation}`,
    );
    // The second one keeps the last-applied annotation for those who go back.
    expect(managers).toEqual(['kubectl/Apply', 'kubectl-last-applied/Apply']);
  });

  test('diff, both ways', async () => {
    await apply(virtualService('reviews'));
    const same = await kubectl.run(['diff', '-f', '-'], { input: virtualService('reviews') });
    expect(same).toMatchObject({ code: 0, stdout: '' });
    const differs = await kubectl.run(['diff', '-f', '-'], { input: virtualService('changed') });
    expect(differs.code).toBe(1);
    expect(differs.stdout).toMatch(/^-\s+- reviews$/m);
    expect(differs.stdout).toMatch(/^\+\s+- changed$/m);
    const server = await kubectl.run(['diff', '--server-side', '--force-conflicts', '-f', '-'], {
      input: virtualService('changed'),
    });
    expect(server.stdout).toMatch(/^\+\s+- changed$/m);
  });

  test('get: columns, wide, yaml, selectors, all namespaces', async () => {
    await apply(virtualService('reviews'));
    const table = await kubectl.ok(['get', 'vs']);
    expect(table).toMatch(/^NAME\s+GATEWAYS\s+HOSTS\s+AGE$/m);
    expect(table).toMatch(/^reviews\s+\["reviews"\]\s+\d+s$/m);
    expect(await kubectl.ok(['get', 'svc', '-o', 'wide'])).toMatch(
      /^NAME\s+TYPE\s+CLUSTER-IP\s+EXTERNAL-IP\s+PORT\(S\)\s+AGE\s+SELECTOR$/m,
    );
    expect(await kubectl.ok(['get', 'svc', 'reviews', '-o', 'yaml'])).toContain('kind: Service');
    expect(await kubectl.ok(['get', 'svc', '-l', 'app in (reviews,x),!y', '-o', 'name'])).toBe(
      'service/reviews\n',
    );
    expect(await kubectl.ok(['get', 'svc', '--field-selector', 'metadata.name!=reviews', '-o', 'name'])).toBe(
      '',
    );
    expect(await kubectl.ok(['get', 'ns', '-o', 'name'])).toContain('namespace/istio-system');
    expect(await kubectl.ok(['get', 'sa', '-A'])).toMatch(/istio-system\s+default/);
    expect(await kubectl.ok(['get', 'vs,svc', '--chunk-size=1', '-o', 'name'])).toContain('service/reviews');
  });

  test('get -w shows changes as they come', async () => {
    const watching = kubectl.start([
      'get',
      'cm',
      'watched',
      '-w',
      '--ignore-not-found',
      '-o',
      'name',
      '--output-watch-events',
    ]);
    const table = kubectl.start(['get', 'cm', '-w']);
    await kubectl.ok(['create', 'cm', 'watched']);
    await kubectl.ok(['label', 'cm', 'watched', 'a=b']);
    await kubectl.ok(['delete', 'cm', 'watched']);
    await expect.poll(table.output).toMatch(/watched\s+0\s+\d+s/);
    await Promise.all([watching.stop(), table.stop()]);
  });

  test('describe shows the object and its events', async () => {
    await apply(virtualService('reviews'));
    const uid = await kubectl.ok(['get', 'vs', 'reviews', '-o', 'jsonpath={.metadata.uid}']);
    await api.call('POST', '/api/v1/namespaces/default/events', {
      body: {
        metadata: { name: 'reviews.1' },
        involvedObject: {
          kind: 'VirtualService',
          name: 'reviews',
          namespace: 'default',
          uid,
          apiVersion: 'networking.istio.io/v1',
        },
        reason: 'Rejected',
        message: 'Envoy refused the route',
        type: 'Warning',
        lastTimestamp: new Date().toISOString(),
      },
    });
    const text = await kubectl.ok(['describe', 'vs', 'reviews']);
    expect(text).toMatch(/Name:\s+reviews/);
    expect(text).toMatch(/Warning\s+Rejected.*Envoy refused the route/);
    expect(await kubectl.ok(['describe', 'svc', 'reviews'])).toMatch(/Selector:\s+app=reviews/);
    expect(await kubectl.ok(['get', 'events'])).toContain('virtualservice/reviews');
  });

  test('explain, from OpenAPI 3 and from OpenAPI 2', async () => {
    const text = await kubectl.ok(['explain', 'virtualservice.spec.http.route']);
    expect(text).toContain('KIND:       VirtualService');
    expect(text).toMatch(/destination\t<Object>/);
    expect(await kubectl.ok(['explain', 'pods.spec.containers'])).toMatch(/image\t<string>/);
    expect(await kubectl.ok(['explain', 'vs', '--recursive'])).toMatch(/hosts\t<\[\]string>/);
    const old = await kubectl.ok(['explain', 'virtualservice.spec.http', '--output', 'plaintext-openapiv2']);
    expect(old).toMatch(/route\t<\[\]Object>/);
  });

  test('edit through EDITOR', async () => {
    await kubectl.ok(['create', 'cm', 'edited', '--from-literal=a=before']);
    const edited = await kubectl.ok(['edit', 'cm', 'edited'], { env: { EDITOR: 'sed -i s/before/after/' } });
    expect(edited).toContain('configmap/edited edited');
    expect(await kubectl.ok(['get', 'cm', 'edited', '-o', 'jsonpath={.data.a}'])).toBe('after');
  });

  test('patch in three formats', async () => {
    await kubectl.ok(['create', 'deployment', 'patched', '--image=one', '--port=80']);
    await kubectl.ok([
      'patch',
      'deploy',
      'patched',
      '-p',
      '{"spec":{"template":{"spec":{"containers":[{"name":"two","image":"two"}]}}}}',
    ]);
    expect(
      await kubectl.ok([
        'get',
        'deploy',
        'patched',
        '-o',
        'jsonpath={.spec.template.spec.containers[*].name}',
      ]),
    ).toBe('two one');
    await kubectl.ok([
      'patch',
      'deploy',
      'patched',
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/spec/template/spec/containers/0"},{"op":"replace","path":"/spec/replicas","value":0}]',
    ]);
    expect(
      await kubectl.ok([
        'get',
        'deploy',
        'patched',
        '-o',
        'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].name}',
      ]),
    ).toBe('0 one');
    await kubectl.ok([
      'patch',
      'deploy',
      'patched',
      '--type=merge',
      '-p',
      '{"spec":{"template":{"spec":{"containers":[{"name":"three","image":"x"}]}}}}',
    ]);
    expect(
      await kubectl.ok([
        'get',
        'deploy',
        'patched',
        '-o',
        'jsonpath={.spec.template.spec.containers[*].name}',
      ]),
    ).toBe('three');
    const strategic = await kubectl.run(['patch', 'vs', 'reviews', '--type=strategic', '-p', '{"spec":{}}']);
    expect(strategic.stderr).toContain('is not supported by networking.istio.io/v1, Kind=VirtualService');
  });

  test('label, annotate, wait and delete', async () => {
    await kubectl.ok(['create', 'cm', 'short']);
    await kubectl.ok(['label', 'cm', 'short', 'tier=one']);
    await kubectl.ok(['label', 'cm', 'short', 'tier-']);
    await kubectl.ok(['annotate', 'cm', 'short', 'note=x']);
    const gone = kubectl.ok(['wait', '--for=delete', 'cm/short', '--timeout=10s']);
    await kubectl.ok(['wait', '--for=jsonpath={.metadata.annotations.note}=x', 'cm/short', '--timeout=10s']);
    expect(await kubectl.ok(['delete', 'cm', 'short'])).toContain('configmap "short" deleted');
    await gone;
    expect((await kubectl.run(['get', 'cm', 'short'])).stderr).toContain('configmaps "short" not found');
  });

  test('api-resources, api-versions and version', async () => {
    const resources = await kubectl.ok(['api-resources', '-o', 'wide']);
    expect(resources).toMatch(
      /virtualservices\s+vs\s+networking\.istio\.io\/v1\s+true\s+VirtualService\s+create,delete,deletecollection,get,list,patch,update,watch/,
    );
    expect(resources).toMatch(/selfsubjectaccessreviews\s+authorization\.k8s\.io\/v1\s+false/);
    expect(await kubectl.ok(['api-versions'])).toContain('gateway.networking.k8s.io/v1');
    expect(await kubectl.ok(['version'])).toContain('Server Version: v1.32');
    expect(await kubectl.ok(['get', '--raw', '/readyz?verbose'])).toContain('[+]store ok');
  });

  test('auth can-i, whoami and roles made by kubectl', async () => {
    expect(await kubectl.ok(['auth', 'can-i', 'create', 'virtualservices'])).toBe('yes\n');
    expect(await kubectl.ok(['auth', 'whoami'])).toContain('system:masters');
    expect((await kubectl.run(['auth', 'can-i', 'get', 'secrets', '--as=bob'])).stdout).toBe('no\n');
    await kubectl.ok(['create', 'role', 'reader', '--verb=get,list', '--resource=secrets']);
    await kubectl.ok(['create', 'rolebinding', 'bob', '--role=reader', '--user=bob']);
    expect(await kubectl.ok(['auth', 'can-i', 'get', 'secrets', '--as=bob'])).toBe('yes\n');
    expect((await kubectl.run(['auth', 'can-i', 'delete', 'secrets', '--as=bob'])).stdout).toBe('no\n');
    expect((await kubectl.run(['get', 'secrets', '-A', '--as=bob'])).stderr).toContain(
      'secrets is forbidden: User "bob" cannot list resource "secrets" in API group "" at the cluster scope',
    );
    expect(await kubectl.ok(['auth', 'can-i', '--list', '--as=bob'])).toMatch(
      /secrets\s+\[\]\s+\[\]\s+\[get list\]/,
    );
  });

  test('a service account token works and can do what its role says', async () => {
    await kubectl.ok(['create', 'sa', 'robot']);
    await kubectl.ok([
      'create',
      'rolebinding',
      'robot',
      '--clusterrole=view',
      '--serviceaccount=default:robot',
    ]);
    const token = (await kubectl.ok(['create', 'token', 'robot', '--duration=15m'])).trim();
    const as = { token };
    expect((await api.call('GET', '/api/v1/namespaces/default/configmaps', { as })).status).toBe(200);
    expect((await api.call('GET', '/api/v1/namespaces/default/secrets', { as })).status).toBe(403);
    await kubectl.ok(['delete', 'sa', 'robot']);
    expect((await api.call('GET', '/api/v1/namespaces/default/configmaps', { as })).status).toBe(401);
  });

  test('a chart-like bundle of many kinds goes through, as kubectl apply of helm template does', async () => {
    // kubectl looks kinds up before it sends anything: helm too installs crds/ first.
    await kubectl.ok(['apply', '-f', join(import.meta.dirname, 'testdata/crd.yaml')]);
    const bundle = readFileSync(join(import.meta.dirname, 'testdata/bundle.yaml'), 'utf8');
    const first = await apply(bundle);
    expect(first.stderr).toBe('');
    expect(first.code).toBe(0);
    const again = await apply(bundle);
    const changed = again.stdout.split('\n').filter((line) => line !== '' && !line.endsWith('unchanged'));
    // stringData is never read back, so kubectl always sends it; the server finds nothing to change.
    expect(changed).toEqual(['secret/web configured']);
    expect(await kubectl.ok(['get', 'secret', 'web', '-n', 'shop', '-o', 'jsonpath={.data.password}'])).toBe(
      'aHVudGVyMg==',
    );
    expect(await kubectl.ok(['get', 'crontabs', '-n', 'shop'])).toMatch(
      /NAME\s+SPEC\s+REPLICAS\s+AGE\nnightly/,
    );
    await kubectl.ok(['delete', 'ns', 'shop', '--timeout=20s']);
    expect((await kubectl.run(['get', 'ns', 'shop'])).stderr).toContain('namespaces "shop" not found');
    await kubectl.ok(['delete', 'crd', 'crontabs.stable.example.com']);
    expect((await kubectl.run(['get', 'crontabs', '-A'])).code).toBe(1);
  });

  test('one file with many objects, read back in pages', async () => {
    const many = Array.from(
      { length: 120 },
      (_, i) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-${i}}\ndata: {i: "${i}"}`,
    );
    mkdirSync(join(api.directory, 'many'));
    writeFileSync(join(api.directory, 'many/all.yaml'), many.join('\n---\n'));
    await kubectl.ok(['create', '-f', join(api.directory, 'many')]);
    expect(
      (await kubectl.ok(['get', 'cm', '-o', 'name', '--chunk-size=50']))
        .split('\n')
        .filter((name) => name.includes('many-')),
    ).toHaveLength(120);
  });
});

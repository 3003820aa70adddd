import type { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';

/** The official JavaScript client, its informers above all: what controllers are written with. */

let api: TestApi;
let config: KubeConfig;
let core: CoreV1Api;
let kubernetes: typeof import('@kubernetes/client-node');
beforeAll(async () => {
  api = await startTestApi();
  kubernetes = await import('@kubernetes/client-node');
  config = new kubernetes.KubeConfig();
  config.loadFromFile(api.kubeconfig);
  core = config.makeApiClient(kubernetes.CoreV1Api);
});
afterAll(() => api.close());

test('an informer lists, follows and keeps its cache', async () => {
  const namespace = 'default';
  await core.createNamespacedConfigMap({
    namespace,
    body: { metadata: { name: 'before' }, data: { a: '1' } },
  });
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = kubernetes.makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace }));
  const seen: string[] = [];
  for (const verb of ['add', 'update', 'delete'] as const) {
    informer.on(verb, (object) =>
      seen.push(`${verb} ${object.metadata?.name ?? ''} ${object.data?.a ?? ''}`),
    );
  }
  await informer.start();
  await expect.poll(() => seen).toContain('add before 1');
  await core.createNamespacedConfigMap({
    namespace,
    body: { metadata: { name: 'after' }, data: { a: '1' } },
  });
  const live = await core.readNamespacedConfigMap({ namespace, name: 'after' });
  await core.replaceNamespacedConfigMap({ namespace, name: 'after', body: { ...live, data: { a: '2' } } });
  await core.deleteNamespacedConfigMap({ namespace, name: 'before' });
  await expect.poll(() => seen.slice(1)).toEqual(['add after 1', 'update after 2', 'delete before 1']);
  expect(informer.get('after', namespace)?.data).toEqual({ a: '2' });
  expect(informer.get('before', namespace)).toBeUndefined();
  await informer.stop();
});

test('custom objects, errors and paging through the client', async () => {
  const objects = config.makeApiClient(kubernetes.CustomObjectsApi);
  const where = {
    group: 'networking.istio.io',
    version: 'v1',
    namespace: 'default',
    plural: 'destinationrules',
  };
  await objects.createNamespacedCustomObject({
    ...where,
    body: { metadata: { name: 'reviews' }, spec: { host: 'reviews' } },
  });
  const list = (await objects.listNamespacedCustomObject(where)) as { items: { spec: { host: string } }[] };
  expect(list.items.map((item) => item.spec.host)).toEqual(['reviews']);
  await expect(core.readNamespacedPod({ namespace: 'default', name: 'none' })).rejects.toMatchObject({
    code: 404,
  });
  const page = await core.listNamespace({ limit: 2 });
  expect(page.items).toHaveLength(2);
  const rest = await core.listNamespace({ limit: 100, _continue: page.metadata?._continue ?? '' });
  expect(page.items.length + rest.items.length).toBe(4);
});

test('a client with a token', async () => {
  await core.createNamespacedServiceAccount({ namespace: 'default', body: { metadata: { name: 'client' } } });
  const request = {
    namespace: 'default',
    name: 'client',
    body: { spec: { audiences: [], expirationSeconds: 600 } },
  };
  const { status } = await core.createNamespacedServiceAccountToken(request);
  const own = new kubernetes.KubeConfig();
  own.loadFromClusterAndUser(
    {
      name: 'c',
      server: api.server.url,
      caData: Buffer.from(api.pki.authorityPem).toString('base64'),
      skipTLSVerify: false,
    },
    { name: 'u', token: status?.token ?? '' },
  );
  const review = await own
    .makeApiClient(kubernetes.AuthenticationV1Api)
    .createSelfSubjectReview({ body: {} });
  expect(review.status?.userInfo?.username).toBe('system:serviceaccount:default:client');
  await expect(
    own.makeApiClient(kubernetes.CoreV1Api).listNamespacedSecret({ namespace: 'default' }),
  ).rejects.toMatchObject({ code: 403 });
});

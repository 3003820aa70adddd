import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import { findEtcd, type RunningEtcd, startEtcd } from '../../../test/support/etcd.ts';
import { EtcdStore } from '../store/etcd/etcd-store.ts';

const available = findEtcd() !== undefined;
const maps = '/api/v1/namespaces/default/configmaps';

describe.skipIf(!available)('two API servers over one etcd (needs etcd on PATH, or apt as root)', () => {
  let etcd: RunningEtcd;
  let stores: EtcdStore[];
  let a: TestApi;
  let b: TestApi;
  beforeAll(async () => {
    etcd = await startEtcd();
    stores = [0, 1].map(() => new EtcdStore({ endpoints: [etcd.endpoint] }));
    const [one, two] = stores;
    if (!one || !two) throw new Error('two stores');
    a = await startTestApi({ store: one });
    b = await startTestApi({ store: two, pki: a.pki });
  });
  afterAll(async () => {
    await b?.close();
    await a?.close();
    for (const store of stores ?? []) await store.close();
    await etcd?.stop();
  });

  test('a watch at one sees writes at the other; of racing writers one wins', async () => {
    const watch = b.watch(`${maps}?watch=true&resourceVersion=${await b.store.revision()}`);
    const made = (await a.call('POST', maps, { body: { metadata: { name: 'shared' } } })).json;
    const race = await Promise.all(
      [a, b].map((api, i) =>
        api.call('PUT', `${maps}/shared`, { body: { ...made, data: { by: String(i) } } }),
      ),
    );
    expect(race.map((answer) => answer.status).sort()).toEqual([200, 409]);
    await watch.until((lines) => lines.length === 2);
    expect(watch.lines.map((line) => line.type)).toEqual(['ADDED', 'MODIFIED']);
    watch.stop();
  });

  test('patches without a revision all go through, whoever takes them', async () => {
    const patches = Array.from({ length: 20 }, (_, i) =>
      (i % 2 === 0 ? a : b).call('PATCH', `${maps}/shared`, {
        body: { data: { [`k${i}`]: 'v' } },
        type: 'application/merge-patch+json',
      }),
    );
    expect((await Promise.all(patches)).map((answer) => answer.status)).toEqual(Array(20).fill(200));
    const { data } = (await a.call('GET', `${maps}/shared`)).json;
    expect(Object.keys(data).filter((key) => key.startsWith('k'))).toHaveLength(20);
  });

  test('kinds and roles defined at one hold at the other', async () => {
    const names = { plural: 'pings', kind: 'Ping' };
    const schema = { openAPIV3Schema: { type: 'object' } };
    const spec = {
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    };
    await a.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      body: { metadata: { name: 'pings.example.com' }, spec },
    });
    const pings = '/apis/example.com/v1/namespaces/default/pings';
    await expect.poll(async () => (await b.call('GET', pings)).status).toBe(200);
    expect((await b.call('POST', pings, { body: { metadata: { name: 'p' } } })).status).toBe(201);
    const user = await a.user('una');
    const binding = {
      metadata: { name: 'una' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'User', name: 'una', apiGroup: 'rbac.authorization.k8s.io' }],
    };
    await a.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', { body: binding });
    await expect.poll(async () => (await b.call('GET', maps, { as: user })).status).toBe(200);
  });

  test('both empty a namespace without getting in each other’s way', async () => {
    await a.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'busy' } } });
    const inside = maps.replace('default', 'busy');
    await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        (i % 2 ? a : b).call('POST', inside, { body: { metadata: { name: `m${i}` } } }),
      ),
    );
    await b.call('DELETE', '/api/v1/namespaces/busy');
    await expect.poll(async () => (await a.call('GET', '/api/v1/namespaces/busy')).status).toBe(404);
    expect((await b.call('GET', inside)).json.items).toEqual([]);
  });
});

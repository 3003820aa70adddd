import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const merge = 'application/merge-patch+json';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const create = async (path: string, name: string, metadata: Record<string, unknown> = {}) =>
  (await api.call('POST', path, { body: { metadata: { name, ...metadata } } })).json;
const exists = async (path: string) => (await api.call('GET', path)).status === 200;
const gone = (path: string) => expect.poll(() => exists(path)).toBe(false);
const ownedBy = (
  owner: { metadata: { uid: string; name: string } },
  extra: Record<string, unknown> = {},
) => ({
  ownerReferences: [
    { apiVersion: 'v1', kind: 'ConfigMap', name: owner.metadata.name, uid: owner.metadata.uid, ...extra },
  ],
});

test('finalizers hold a deleted object; it goes with the last of them', async () => {
  await create(maps, 'held', { finalizers: ['example.com/hold'] });
  const deleted = await api.call('DELETE', `${maps}/held`);
  expect(deleted.json.metadata).toMatchObject({
    deletionGracePeriodSeconds: 0,
    finalizers: ['example.com/hold'],
  });
  expect(deleted.json.metadata.deletionTimestamp).toBeDefined();
  const more = await api.call('PATCH', `${maps}/held`, {
    body: { metadata: { finalizers: ['example.com/hold', 'example.com/new'] } },
    type: merge,
  });
  expect(more.json.message).toContain('no new finalizers can be added');
  const revive = await api.call('PATCH', `${maps}/held`, {
    body: { metadata: { deletionTimestamp: null } },
    type: merge,
  });
  expect(revive.json.metadata.deletionTimestamp).toBeDefined();
  const last = await api.call('PATCH', `${maps}/held`, {
    body: { metadata: { finalizers: null } },
    type: merge,
  });
  expect(last.status).toBe(200);
  expect(await exists(`${maps}/held`)).toBe(false);
});

test('background deletion removes dependents, and theirs', async () => {
  const owner = await create(maps, 'owner');
  const child = await create(maps, 'child', ownedBy(owner));
  await create(maps, 'grandchild', ownedBy(child));
  const shared = await create(maps, 'other-owner');
  await create(maps, 'shared', {
    ownerReferences: [...ownedBy(owner).ownerReferences, ...ownedBy(shared).ownerReferences],
  });
  await api.call('DELETE', `${maps}/owner`);
  await gone(`${maps}/child`);
  await gone(`${maps}/grandchild`);
  await expect
    .poll(async () => (await api.call('GET', `${maps}/shared`)).json.metadata.ownerReferences.length)
    .toBe(1);
});

test('a dependent of an owner that never was goes too', async () => {
  await create(maps, 'stray', {
    ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: '0-0' }],
  });
  await gone(`${maps}/stray`);
});

test('orphaned dependents stay', async () => {
  const owner = await create(maps, 'leaving');
  await create(maps, 'orphaned', ownedBy(owner));
  await api.call('DELETE', `${maps}/leaving`, { body: { propagationPolicy: 'Orphan' } });
  await gone(`${maps}/leaving`);
  expect((await api.call('GET', `${maps}/orphaned`)).json.metadata.ownerReferences).toBeUndefined();
});

test('a foreground deletion waits for the dependents that block it', async () => {
  const owner = await create(maps, 'front');
  await create(maps, 'blocking', {
    ...ownedBy(owner, { blockOwnerDeletion: true }),
    finalizers: ['example.com/slow'],
  });
  await api.call('DELETE', `${maps}/front?propagationPolicy=Foreground`);
  await expect
    .poll(async () => (await api.call('GET', `${maps}/blocking`)).json.metadata.deletionTimestamp)
    .toBeDefined();
  expect((await api.call('GET', `${maps}/front`)).json.metadata.finalizers).toEqual(['foregroundDeletion']);
  await api.call('PATCH', `${maps}/blocking`, { body: { metadata: { finalizers: null } }, type: merge });
  await gone(`${maps}/front`);
});

test('deleting a namespace deletes its contents; nothing new gets in meanwhile', async () => {
  expect((await create('/api/v1/namespaces', 'shop')).status.phase).toBe('Active');
  const inside = maps.replace('default', 'shop');
  await expect.poll(() => exists('/api/v1/namespaces/shop/serviceaccounts/default')).toBe(true);
  await create(inside, 'plain');
  await create(inside, 'held', { finalizers: ['example.com/hold'] });
  const deleted = await api.call('DELETE', '/api/v1/namespaces/shop');
  expect(deleted.json.status.phase).toBe('Terminating');
  const late = await api.call('POST', inside, { body: { metadata: { name: 'late' } } });
  expect(late.json).toMatchObject({ code: 403, details: { causes: [{ reason: 'NamespaceTerminating' }] } });
  await gone(`${inside}/plain`);
  expect(await exists('/api/v1/namespaces/shop')).toBe(true);
  await api.call('PATCH', `${inside}/held`, { body: { metadata: { finalizers: null } }, type: merge });
  await gone('/api/v1/namespaces/shop');
  expect((await api.call('GET', inside)).json.items).toEqual([]);
  expect((await api.call('DELETE', '/api/v1/namespaces/default')).json.reason).toBe('Forbidden');
});

const crd = (plural: string, kind: string) => ({
  metadata: { name: `${plural}.example.com` },
  spec: {
    group: 'example.com',
    scope: 'Cluster',
    names: { plural, kind },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', properties: { size: { type: 'integer', maximum: 9, default: 1 } } },
            },
          },
        },
      },
    ],
  },
});
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

test('a CRD is served at once, checked by its schema, and takes its objects with it', async () => {
  const made = await api.call('POST', crds, { body: crd('widgets', 'Widget') });
  expect(made.status).toBe(201);
  const widgets = '/apis/example.com/v1/widgets';
  const widget = await api.call('POST', widgets, {
    body: { metadata: { name: 'w', finalizers: ['example.com/hold'] }, spec: {} },
  });
  expect(widget.json).toMatchObject({ kind: 'Widget', apiVersion: 'example.com/v1', spec: { size: 1 } });
  const wrong = await api.call('POST', widgets, { body: { metadata: { name: 'x' }, spec: { size: 10 } } });
  expect(wrong.json.details.causes[0].field).toBe('spec.size');
  await expect
    .poll(async () =>
      (await api.call('GET', `${crds}/widgets.example.com`)).json.status?.conditions?.map(
        (one: { type: string }) => one.type,
      ),
    )
    .toContain('Established');
  expect(
    (await api.call('GET', '/apis/example.com/v1')).json.resources.map((one: { name: string }) => one.name),
  ).toEqual(['widgets', 'widgets/status']);
  expect((await api.call('GET', '/openapi/v3')).json.paths['apis/example.com/v1']).toBeDefined();
  await api.call('DELETE', `${crds}/widgets.example.com`);
  await expect
    .poll(async () => (await api.call('GET', `${widgets}/w`)).json.metadata?.deletionTimestamp)
    .toBeDefined();
  expect(await exists(`${crds}/widgets.example.com`)).toBe(true);
  await api.call('PATCH', `${widgets}/w`, { body: { metadata: { finalizers: null } }, type: merge });
  await gone(`${crds}/widgets.example.com`);
  expect((await api.call('GET', widgets)).status).toBe(404);
});

test('CRDs and their objects are there again after a restart', async () => {
  await api.call('POST', crds, { body: crd('gadgets', 'Gadget') });
  await api.call('POST', '/apis/example.com/v1/gadgets', {
    body: { metadata: { name: 'g' }, spec: { size: 3 } },
  });
  const second = await startTestApi({ store: api.store, pki: api.pki });
  expect((await second.call('GET', '/apis/example.com/v1/gadgets/g')).json.spec.size).toBe(3);
  await second.server.close();
});

test('events of a deletion carry its revision', async () => {
  const watch = api.watch(`${maps}?watch=true&fieldSelector=metadata.name%3Dbrief`);
  const made = await create(maps, 'brief');
  await api.call('DELETE', `${maps}/brief`);
  const lines = await watch.until((all) => all.length === 2);
  watch.stop();
  expect(lines.map((line) => line.type)).toEqual(['ADDED', 'DELETED']);
  expect(Number(lines[1]?.object.metadata.resourceVersion)).toBeGreaterThan(
    Number(made.metadata.resourceVersion),
  );
});

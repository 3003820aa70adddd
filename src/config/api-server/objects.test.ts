import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const services = '/apis/networking.istio.io/v1/namespaces/default/serviceentries';
const merge = 'application/merge-patch+json';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const entry = (name: string, hosts: string[]) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name },
  spec: { hosts, ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
});

test('a new object gets uid, time, generation and its writer; a read returns the same', async () => {
  const created = await api.call('POST', `${services}?fieldManager=me`, {
    body: { ...entry('one', ['a.com']), status: { x: 1 } },
  });
  expect(created.status).toBe(201);
  const { metadata } = created.json;
  expect(metadata).toMatchObject({ name: 'one', namespace: 'default', generation: 1 });
  expect(metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
  expect(metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(metadata.managedFields).toMatchObject([
    { manager: 'me', operation: 'Update', apiVersion: 'networking.istio.io/v1' },
  ]);
  expect(metadata.managedFields[0].fieldsV1['f:spec']).toMatchObject({
    '.': {},
    'f:hosts': {},
    'f:resolution': {},
  });
  expect(created.json.status).toBeUndefined();
  expect((await api.call('GET', `${services}/one`)).json).toEqual(created.json);
  expect((await api.call('POST', services, { body: entry('one', ['b.com']) })).json).toMatchObject({
    reason: 'AlreadyExists',
    code: 409,
  });
});

test('generation counts changes of the wanted state only', async () => {
  const patch = (body: unknown, path = `${services}/one`) => api.call('PATCH', path, { body, type: merge });
  expect((await patch({ metadata: { labels: { a: 'b' } } })).json.metadata.generation).toBe(1);
  expect((await patch({ spec: { hosts: ['b.com'] } })).json.metadata.generation).toBe(2);
  const status = await patch(
    { status: { conditions: [{ type: 'Ready', status: 'True' }] }, spec: { hosts: ['ignored.com'] } },
    `${services}/one/status`,
  );
  expect(status.json.metadata.generation).toBe(2);
  expect(status.json.spec.hosts).toEqual(['b.com']);
  expect(status.json.status.conditions[0].type).toBe('Ready');
  const main = await patch({ status: null, spec: { hosts: ['c.com'] } });
  expect(main.json.status.conditions[0].type).toBe('Ready');
  expect(main.json.metadata.managedFields.map((one: { subresource?: string }) => one.subresource)).toContain(
    'status',
  );
});

test('a write that changes nothing writes nothing', async () => {
  const before = await api.store.revision();
  const answer = await api.call('PATCH', `${services}/one`, {
    body: { spec: { hosts: ['c.com'] } },
    type: merge,
  });
  expect(answer.status).toBe(200);
  expect(await api.store.revision()).toBe(before);
});

test('an apply that repeats what is there writes nothing, though a list of it that is owned whole has defaults by now', async () => {
  const body = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'web' },
    spec: { parentRefs: [{ name: 'front' }], rules: [{ backendRefs: [{ name: 'web', port: 80 }] }] },
  };
  const path = '/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web?fieldManager=me';
  const apply = () => api.call('PATCH', path, { body, type: 'application/apply-patch+yaml' });
  const first = (await apply()).json;
  expect(first.spec.parentRefs[0]).toMatchObject({ kind: 'Gateway' });
  // Owners are stamped with whole seconds.
  const before = Math.floor(Date.now() / 1_000);
  await expect.poll(() => Math.floor(Date.now() / 1_000), { timeout: 30_000 }).toBeGreaterThan(before);
  expect((await apply()).json).toEqual(first);
});

test('replace: optimistic concurrency, immutable identity', async () => {
  const live = (await api.call('GET', `${services}/one`)).json;
  const put = (change: (object: typeof live) => void) => {
    const object = structuredClone(live);
    change(object);
    return api.call('PUT', `${services}/one`, { body: object });
  };
  const ok = await put((object) => {
    object.spec.hosts = ['d.com'];
    object.metadata.creationTimestamp = '2001-01-01T00:00:00Z';
    object.metadata.generation = 99;
  });
  expect(ok.status).toBe(200);
  expect(ok.json.metadata.creationTimestamp).toBe(live.metadata.creationTimestamp);
  expect(ok.json.metadata.generation).toBe(live.metadata.generation + 1);
  const stale = await put((object) => {
    object.spec.hosts = ['e.com'];
  });
  expect(stale.json).toMatchObject({ code: 409, reason: 'Conflict' });
  expect(stale.json.message).toBe(
    'Operation cannot be fulfilled on serviceentries.networking.istio.io "one": the object has been modified; please apply your changes to the latest version and try again',
  );
  const without = await put((object) => delete object.metadata.resourceVersion);
  expect(without.json).toMatchObject({ code: 422 });
  const other = await put((object) => {
    object.metadata.resourceVersion = ok.json.metadata.resourceVersion;
    object.metadata.uid = 'another';
  });
  expect(other.json.message).toContain('Precondition failed: UID');
  expect(
    (
      await put((object) => {
        object.metadata.name = 'two';
      })
    ).status,
  ).toBe(400);
  expect((await api.call('PUT', `${services}/none`, { body: entry('none', ['a.com']) })).status).toBe(404);
});

test('every served version shows the same object', async () => {
  const beta = (await api.call('GET', `${services.replace('/v1/', '/v1beta1/')}/one`)).json;
  expect(beta.apiVersion).toBe('networking.istio.io/v1beta1');
  const alpha = await api.call('PATCH', `${services.replace('/v1/', '/v1alpha3/')}/one`, {
    body: { spec: { location: 'MESH_EXTERNAL' } },
    type: merge,
  });
  expect(alpha.json.apiVersion).toBe('networking.istio.io/v1alpha3');
  expect((await api.call('GET', `${services}/one`)).json).toMatchObject({
    apiVersion: 'networking.istio.io/v1',
    spec: { location: 'MESH_EXTERNAL' },
  });
  const stored = await api.store.get({
    resource: 'serviceentries.networking.istio.io',
    namespace: 'default',
    name: 'one',
  });
  expect(stored?.object.apiVersion).toBe('networking.istio.io/v1');
});

test('generateName, dry run', async () => {
  const made = await api.call('POST', maps, { body: { metadata: { generateName: 'gen-' } } });
  expect(made.json.metadata.name).toMatch(/^gen-[a-z0-9]{5}$/);
  const before = await api.store.revision();
  const dry = await api.call('POST', `${maps}?dryRun=All`, { body: { metadata: { name: 'dry' } } });
  expect(dry.status).toBe(201);
  expect(dry.json.metadata.uid).toBeDefined();
  const dryPatch = await api.call('PATCH', `${services}/one?dryRun=All`, {
    body: { spec: { hosts: ['dry.com'] } },
    type: merge,
  });
  expect(dryPatch.json.spec.hosts).toEqual(['dry.com']);
  expect((await api.call('DELETE', `${services}/one?dryRun=All`)).status).toBe(200);
  expect(await api.store.revision()).toBe(before);
});

test('lists: pages, selectors, revisions', async () => {
  const names = Array.from({ length: 23 }, (_, i) => `page-${String(i).padStart(2, '0')}`);
  for (const [i, name] of names.entries()) {
    await api.call('POST', maps, {
      body: { metadata: { name, labels: { parity: i % 2 === 0 ? 'even' : 'odd', page: 'yes' } } },
    });
  }
  const pages = async (query: string) => {
    const seen: string[] = [];
    const revisions = new Set<string>();
    let token = '';
    for (let turn = 0; turn < 50; turn++) {
      const { json } = await api.call('GET', `${maps}?${query}${token === '' ? '' : `&continue=${token}`}`);
      seen.push(...json.items.map((item: { metadata: { name: string } }) => item.metadata.name));
      revisions.add(json.metadata.resourceVersion);
      token = json.metadata.continue ?? '';
      // Writes in between must not show.
      await api.call('PATCH', `${maps}/page-22`, { body: { data: { turn: String(turn) } }, type: merge });
      if (token === '') break;
    }
    return { seen: seen.filter((name) => name.startsWith('page-')), revisions };
  };
  const plain = await pages('limit=4');
  expect(plain.seen).toEqual(names);
  expect(plain.revisions.size).toBe(1);
  const odd = await pages('limit=3&labelSelector=parity%3Dodd,page');
  expect(odd.seen).toEqual(names.filter((_, i) => i % 2 === 1));
  expect(odd.revisions.size).toBe(1);
  const first = await api.call('GET', `${maps}?limit=1`);
  expect(first.json.metadata.remainingItemCount).toBeGreaterThan(20);
  const at = first.json.metadata.resourceVersion;
  await api.call('DELETE', `${maps}/page-00`);
  const exact = await api.call(
    'GET',
    `${maps}?resourceVersion=${at}&resourceVersionMatch=Exact&fieldSelector=metadata.name%3Dpage-00`,
  );
  expect(exact.json.items).toHaveLength(1);
  expect(exact.json.metadata.resourceVersion).toBe(at);
  await api.store.compact(await api.store.revision());
  const gone = await api.call('GET', `${maps}?resourceVersion=${at}&resourceVersionMatch=Exact`);
  expect(gone.json).toMatchObject({ code: 410, reason: 'Expired' });
  const stale = await api.call('GET', `${maps}?limit=1&continue=${first.json.metadata.continue}`);
  expect(stale.json).toMatchObject({ code: 410, reason: 'Expired' });
});

test('deletecollection takes what its selector takes', async () => {
  const answer = await api.call('DELETE', `${maps}?labelSelector=parity%3Deven`);
  expect(answer.status).toBe(200);
  const left = (await api.call('GET', `${maps}?labelSelector=page`)).json.items;
  expect(
    left.map((item: { metadata: { labels: { parity: string } } }) => item.metadata.labels.parity),
  ).toEqual(Array(11).fill('odd'));
  await api.call('DELETE', `${maps}?labelSelector=page`);
  expect((await api.call('GET', `${maps}?labelSelector=page`)).json.items).toEqual([]);
});

test('delete: preconditions and the answer', async () => {
  const made = (await api.call('POST', maps, { body: { metadata: { name: 'doomed' } } })).json;
  const attempt = (preconditions: unknown) =>
    api.call('DELETE', `${maps}/doomed`, { body: { preconditions } });
  expect((await attempt({ uid: 'wrong' })).json.code).toBe(409);
  expect((await attempt({ resourceVersion: '1' })).json.code).toBe(409);
  const gone = await attempt({ uid: made.metadata.uid, resourceVersion: made.metadata.resourceVersion });
  expect(gone.json).toMatchObject({
    kind: 'Status',
    status: 'Success',
    details: { name: 'doomed', kind: 'configmaps', uid: made.metadata.uid },
  });
  expect((await attempt({})).json).toMatchObject({
    code: 404,
    reason: 'NotFound',
    message: 'configmaps "doomed" not found',
  });
});

test('Table and PartialObjectMetadata', async () => {
  const accept = (as: string) => ({
    headers: { accept: `application/json;as=${as};v=v1;g=meta.k8s.io,application/json` },
  });
  const table = (await api.call('GET', `${services}?includeObject=None`, accept('Table'))).json;
  expect(table).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
  expect(table.columnDefinitions.map((column: { name: string }) => column.name)).toEqual([
    'Name',
    'Hosts',
    'Location',
    'Resolution',
    'Age',
  ]);
  expect(table.rows).toHaveLength(1);
  expect(table.rows[0].cells.slice(0, 4)).toEqual(['one', '["d.com"]', 'MESH_EXTERNAL', 'DNS']);
  expect(table.rows[0].object).toBeUndefined();
  const partial = (await api.call('GET', `${services}/one`, accept('PartialObjectMetadata'))).json;
  expect(Object.keys(partial).sort()).toEqual(['apiVersion', 'kind', 'metadata']);
  const list = (await api.call('GET', services, accept('PartialObjectMetadataList'))).json;
  expect(list).toMatchObject({
    kind: 'PartialObjectMetadataList',
    items: [{ kind: 'PartialObjectMetadata' }],
  });
  expect((await api.call('GET', services, { headers: { accept: 'image/png' } })).status).toBe(406);
  const text = await api.call('GET', `${services}/one`, { headers: { accept: 'application/yaml' } });
  expect(text.text).toContain('kind: ServiceEntry');
});

test('an object of a kind that is not built yet says so', async () => {
  const body = { metadata: { name: 'pa' }, spec: { mtls: { mode: 'STRICT' } } };
  const path = '/apis/security.istio.io/v1/namespaces/default/peerauthentications';
  const kind = api.server.kinds.byKind('security.istio.io', 'PeerAuthentication');
  const answer = await api.call('POST', path, { body });
  expect(answer.status).toBe(201);
  if (kind?.behaviour === 'planned') {
    expect(answer.json.status.conditions).toMatchObject([{ status: 'False', reason: 'NotImplemented' }]);
    expect(String(answer.headers.warning)).toContain('does not act on it yet');
  }
  const planned = api.server.kinds.all().filter((one) => one.behaviour === 'planned');
  for (const one of planned) expect(one.versions.every((version) => version.schema !== undefined)).toBe(true);
});

test('a Secret takes stringData and never shows it', async () => {
  const path = '/api/v1/namespaces/default/secrets';
  const made = await api.call('POST', path, {
    body: { metadata: { name: 's' }, data: { a: 'YQ==' }, stringData: { b: 'b' } },
  });
  expect(made.json.data).toEqual({ a: 'YQ==', b: 'Yg==' });
  const changed = await api.call('PATCH', `${path}/s`, { body: { stringData: { a: 'x' } }, type: merge });
  expect(changed.json.data).toEqual({ a: 'eA==', b: 'Yg==' });
  expect(changed.json.stringData).toBeUndefined();
});

test('discovery: old form, aggregated form, ETags; OpenAPI by hash', async () => {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const aggregated = await api.call('GET', '/apis', { headers: { accept } });
  expect(String(aggregated.headers['content-type'])).toBe(accept);
  const istio = aggregated.json.items.find(
    (item: { metadata: { name: string } }) => item.metadata.name === 'networking.istio.io',
  );
  expect(istio.versions[0].version).toBe('v1');
  const etag = String(aggregated.headers.etag);
  expect((await api.call('GET', '/apis', { headers: { accept, 'if-none-match': etag } })).status).toBe(304);
  const groups = (await api.call('GET', '/apis')).json.groups;
  expect(
    groups.find((one: { name: string }) => one.name === 'networking.istio.io').preferredVersion.version,
  ).toBe('v1');
  expect((await api.call('GET', '/apis/networking.istio.io')).json.kind).toBe('APIGroup');
  expect((await api.call('GET', '/api')).json.versions).toEqual(['v1']);
  const resources = (await api.call('GET', '/api/v1')).json.resources.map(
    (one: { name: string }) => one.name,
  );
  expect(resources).toEqual(
    expect.arrayContaining(['namespaces/finalize', 'pods/status', 'serviceaccounts/token']),
  );
  const index = (await api.call('GET', '/openapi/v3')).json.paths;
  const { serverRelativeURL } = index['apis/networking.istio.io/v1'];
  const document = await api.call('GET', serverRelativeURL);
  expect(document.headers['cache-control']).toBe('public, immutable');
  expect(document.json.components.schemas['io.istio.networking.v1.VirtualService']).toMatchObject({
    'x-kubernetes-group-version-kind': [
      { group: 'networking.istio.io', kind: 'VirtualService', version: 'v1' },
    ],
  });
  const patch =
    document.json.paths['/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/{name}'].patch;
  expect(patch.parameters.map((one: { name: string }) => one.name)).toContain('fieldValidation');
  expect((await api.call('GET', '/openapi/v2')).json.swagger).toBe('2.0');
});

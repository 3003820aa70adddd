import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConfigObject } from '../config/object.ts';
import { type EmbeddedStore, openEmbeddedStore } from '../config/store/embedded/embedded-store.ts';
import { LineReader, type RegistrationClaim, toLine } from '../kit/registration.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import { AutoRegistration } from './auto-registration.ts';
import { checkClaim, withRegistration } from './registration-server.ts';
import { StatusWriter } from './status-writer.ts';

const group: ConfigObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadGroup',
  metadata: { name: 'vms', namespace: 'shop', uid: 'group-uid' },
  spec: {
    metadata: { labels: { managed: 'yes' }, annotations: { note: 'x' } },
    template: {
      ports: { http: 8080, admin: 9000 },
      labels: { app: 'web' },
      serviceAccount: 'web',
      weight: 3,
      network: 'n',
    },
    probe: { httpGet: { port: 8080, path: '/health' }, periodSeconds: 1 },
  },
};
const claim: RegistrationClaim = {
  workload: 'vm-1',
  namespace: 'shop',
  serviceAccount: 'web',
  group: 'vms',
  address: '10.9.0.1',
  labels: { version: 'v2' },
  locality: 'eu/a',
  ports: { '8080': 21000 },
};
const ref = { resource: 'workloadentries.networking.istio.io', namespace: 'shop', name: 'vm-1' };
const graceMs = 300;

let store: EmbeddedStore;
let writer: StatusWriter;
let registration: AutoRegistration;
const entry = async () => (await store.get(ref))?.object;
const open = (alone = false) =>
  new AutoRegistration({
    store,
    writer,
    group: (key) => (key === 'shop/vms' ? group : undefined),
    log: { info: () => undefined, warn: () => undefined } as never,
    graceMs,
    alone,
  });

beforeEach(() => {
  store = openEmbeddedStore({ path: ':memory:' });
  writer = new StatusWriter({ store, delay: 1, onError: () => undefined });
  registration = open();
});
afterEach(async () => {
  await registration.close();
  await writer.close();
  await store.close();
});

describe('a workload that connects', () => {
  it('gets an entry of the group’s template, with what it knows itself, and the group’s probe', async () => {
    expect(await registration.register(claim)).toEqual({
      registered: 'vm-1',
      probe: { httpGet: { port: 8080, path: '/health' }, periodSeconds: 1 },
    });
    expect(await entry()).toMatchObject({
      metadata: {
        labels: { managed: 'yes' },
        annotations: {
          note: 'x',
          'istio.io/autoRegistrationGroup': 'vms',
          'proxy.istio.io/health-checks-enabled': 'true',
        },
        ownerReferences: [{ kind: 'WorkloadGroup', name: 'vms', uid: 'group-uid' }],
      },
      spec: {
        address: '10.9.0.1',
        ports: { http: 21000, admin: 9000 },
        labels: { app: 'web', version: 'v2' },
        serviceAccount: 'web',
        weight: 3,
        network: 'n',
        locality: 'eu/a',
      },
    });
  });

  it('is well when it says so, and not when it does not', async () => {
    await registration.register(claim);
    const healthy = async () => {
      await writer.flush();
      const status = (await entry())?.status as {
        conditions?: { type: string; status: string; message?: string }[];
      };
      return status?.conditions?.find(({ type }) => type === 'Healthy');
    };
    registration.report(claim, { healthy: true });
    expect(await healthy()).toMatchObject({ status: 'True' });
    registration.report(claim, { healthy: false, message: 'no answer' });
    expect(await healthy()).toMatchObject({ status: 'False', message: 'no answer' });
  });

  it('keeps its entry, status included, when it comes back within the grace, and loses it after', async () => {
    await registration.register(claim);
    const uid = (await entry())?.metadata.uid;
    registration.leave(claim);
    await registration.register(claim);
    await new Promise((resolve) => setTimeout(resolve, 2 * graceMs));
    expect((await entry())?.metadata.uid).toBe(uid);
    registration.leave(claim);
    await expect.poll(entry).toBeUndefined();
  });

  it('with two connections leaves with the last, and at once when it says good-bye', async () => {
    await registration.register(claim);
    await registration.register(claim);
    registration.leave(claim, true);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await entry()).toBeDefined();
    registration.leave(claim, true);
    await expect.poll(entry, { interval: 2 }).toBeUndefined();
  });

  it('keeps its entry while its proxy is connected, though its agent died; a good-bye counts at once', async () => {
    await registration.register(claim);
    const end = registration.hold(claim);
    registration.leave(claim);
    await new Promise((resolve) => setTimeout(resolve, 2 * graceMs));
    expect(await entry()).toBeDefined();
    await registration.register(claim);
    registration.leave(claim, true);
    await expect.poll(entry, { interval: 2 }).toBeUndefined();
    end();
    await registration.register(claim);
    const other = registration.hold(claim);
    registration.leave(claim);
    other();
    await expect.poll(entry, { interval: 2, timeout: 10_000 }).toBeUndefined();
  });
});

describe('refused, and nothing is written', () => {
  it.each<[string, Partial<RegistrationClaim>, RegExp]>([
    ['an unknown group', { group: 'none' }, /there is no WorkloadGroup none in namespace shop/],
    ['another service account', { serviceAccount: 'other' }, /for service account web.*proves to be other/],
  ])('%s', async (_, wrong, why) => {
    expect(await registration.register({ ...claim, ...wrong })).toEqual({
      refused: expect.stringMatching(why),
    });
    expect(await entry()).toBeUndefined();
  });

  it('an entry that somebody wrote stays as it is, also when the workload goes', async () => {
    const object: ConfigObject = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name: 'vm-1', namespace: 'shop' },
      spec: { address: '10.0.0.1' },
    };
    await store.commit([{ type: 'put', ref, object }]);
    expect(await registration.register(claim)).toMatchObject({ refused: /which somebody wrote/ });
    expect((await entry())?.spec).toEqual({ address: '10.0.0.1' });
  });
});

it('removes after a start what nobody claims again, and nothing where others write too', async () => {
  await registration.register(claim);
  await registration.close();
  const shared = open(false);
  await new Promise((resolve) => setTimeout(resolve, 5 * graceMs));
  expect(await entry()).toBeDefined();
  await shared.close();
  registration = open(true);
  await expect.poll(entry).toBeUndefined();
});

it('lines are put together from pieces, and endless ones are refused', () => {
  const reader = new LineReader();
  const text = toLine(claim) + toLine({ healthy: true });
  expect(reader.push(Buffer.from(text.slice(0, 20)))).toEqual([]);
  expect(reader.push(Buffer.from(text.slice(20)))).toEqual([claim, { healthy: true }]);
  expect(() => reader.push(Buffer.alloc(100_000, 'x'))).toThrow(/longer/);
  expect(() => new LineReader().push(Buffer.from('3\n'))).toThrow(/no object/);
});

it('a letter of several bytes may come in pieces', () => {
  const bytes = Buffer.from(toLine({ healthy: false, message: 'größer' }));
  const reader = new LineReader();
  const lines = [...bytes].flatMap((byte) => reader.push(Buffer.from([byte])));
  expect(lines).toEqual([{ healthy: false, message: 'größer' }]);
});

describe('what an agent claims', () => {
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
  it('is taken as it is meant', () => {
    expect(checkClaim({ ...claim, more: 'x' }, identity)).toEqual(claim);
    const { labels: _, ports: __, locality: ___, ...least } = claim;
    expect(checkClaim(least, identity)).toEqual({ ...least, labels: {}, ports: {} });
  });

  it.each<[string, object]>([
    ['workload', { workload: 'a/b' }],
    ['group', { group: 3 }],
    ['address', { address: 'evil.example' }],
    ['labels', { labels: { app: { deep: true } } }],
    ['labels', { labels: ['x'] }],
    ['labels', { labels: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`l${i}`, ''])) }],
    ['ports', { ports: { 80: '80' } }],
    ['ports', { ports: { 80: 70_000 } }],
    ['network', { network: 'n'.repeat(300) }],
    ['locality', { locality: {} }],
    ['the certificate', { namespace: 'other' }],
  ])('is refused for its %s: %o', (what, wrong) => {
    expect(checkClaim({ ...claim, ...wrong }, identity)).toMatch(new RegExp(`^${what} is `));
  });
});

it('a proxy that is gone before its registration is answered leaves no entry', async () => {
  const proxy = {
    id: 'p',
    name: 'vm-1',
    namespace: 'shop',
    serviceAccount: 'web',
    addresses: ['10.9.0.1'],
    labels: {},
    network: '',
    locality: { region: '', zone: '', subZone: '' },
    metadata: { AUTO_REGISTER_GROUP: 'vms' },
  } as unknown as MeshProxy;
  const source = withRegistration(
    { connect: () => undefined, disconnect: () => undefined } as unknown as ResourceSource,
    registration,
  );
  const register = vi.spyOn(registration, 'register');
  source.connect(proxy);
  source.disconnect('p');
  expect(await register.mock.results[0]?.value).toMatchObject({ registered: 'vm-1' });
  await expect.poll(entry).toBeUndefined();
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { opensslCertificate } from '../../test/support/authority.ts';
import { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import type { ConfigObject, StatusCondition } from '../config/object.ts';
import { type EmbeddedStore, openEmbeddedStore } from '../config/store/embedded/embedded-store.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { createLedger } from '../xds/ledger.ts';
import { ProblemReporter } from './problem-reporter.ts';
import { StatusReporter } from './status-reporter.ts';
import { StatusWriter } from './status-writer.ts';

const ref = { resource: 'virtualservices.networking.istio.io', namespace: 'default', name: 'reviews' };
const object: ConfigObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews', namespace: 'default', generation: 3 },
  spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'nowhere' } }] }] },
};

let store: EmbeddedStore;
let writer: StatusWriter;
const errors: string[] = [];

beforeEach(async () => {
  store = openEmbeddedStore({ path: ':memory:' });
  await store.commit([{ type: 'put', ref, object }]);
  writer = new StatusWriter({ store, delay: 1, onError: (message) => errors.push(message) });
});

afterEach(async () => {
  await writer.close();
  await store.close();
  expect(errors).toEqual([]);
});

async function condition(type: string): Promise<StatusCondition | undefined> {
  await writer.flush();
  const status = (await store.get(ref))?.object.status as { conditions?: StatusCondition[] } | undefined;
  return status?.conditions?.find((one) => one.type === type);
}

it('says what an object cannot have, and takes it back', async () => {
  const reporter = new ProblemReporter(createBuiltInRegistry(), writer, (error) =>
    errors.push(String(error)),
  );
  reporter.apply([{ kind: 'VirtualService', key: 'default/reviews', value: object }], 1);
  await expect.poll(() => condition('Accepted')).toMatchObject({ status: 'False', message: /nowhere/ });
  const sound = { ...object, spec: { hosts: ['reviews'], http: [{ directResponse: { status: 200 } }] } };
  reporter.apply([{ kind: 'VirtualService', key: 'default/reviews', value: sound }], 2);
  await expect.poll(() => condition('Accepted')).toBeUndefined();
  reporter.close();
});

it('says it of a listener of the Gateway API too, and takes it back', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-status-'));
  const [old, renewed] = [1, 9].map((days) => opensslCertificate({ directory, name: `front-${days}`, days }));
  rmSync(directory, { recursive: true });
  let now = Date.now();
  let wake = () => {};
  const clock = {
    now: () => now,
    sleep: () =>
      new Promise<void>((resolve) => {
        wake = resolve;
      }),
  };
  const later = new StatusWriter({
    ...{ store, delay: 1, now: () => new Date(now) },
    onError: (message) => errors.push(message),
  });
  const reporter = new ProblemReporter(
    createBuiltInRegistry(),
    later,
    (error) => errors.push(String(error)),
    clock,
  );
  const gateway = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'front', namespace: 'default' },
    spec: {
      gatewayClassName: 'istio',
      listeners: [
        { name: 'https', port: 443, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'front' }] } },
      ],
    },
  };
  const secret = (certificate: string, key: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'front', namespace: 'default' },
    data: { 'tls.crt': btoa(certificate), 'tls.key': btoa(key) },
  });
  const at = { resource: 'gateways.gateway.networking.k8s.io', namespace: 'default', name: 'front' };
  await store.commit([{ type: 'put', ref: at, object: gateway }]);
  const told = async (): Promise<string> => {
    await later.flush();
    const status = (await store.get(at))?.object.status as
      | { listeners?: { conditions: StatusCondition[] }[] }
      | undefined;
    const bad = status?.listeners?.[0]?.conditions.filter(
      (one) => !/^No|^Pro|^Acc|^Res/.test(one.reason ?? ''),
    );
    return bad?.map(({ reason, message }) => `${reason}: ${message}`).join() ?? 'nothing';
  };
  const write = (one: ReturnType<typeof secret>, revision: number) =>
    reporter.apply([{ kind: 'Secret', key: 'default/front', value: one }], revision);
  reporter.apply([{ kind: 'gateway.networking.k8s.io/Gateway', key: 'default/front', value: gateway }], 1);
  await expect.poll(told).toMatch(/InvalidCertificateRef: there is no Secret/);
  write(secret(old?.certificate ?? '', renewed?.key ?? ''), 2);
  await expect.poll(told).toMatch(/InvalidCertificateRef: .*its tls.key does not belong to its tls.crt/);
  write(secret(old?.certificate ?? '', old?.key ?? ''), 3);
  await expect.poll(told).toBe('');
  now += 2 * 86_400_000;
  wake();
  await expect.poll(told).toMatch(/^CertificateExpired: /);
  write(secret(renewed?.certificate ?? '', renewed?.key ?? ''), 4);
  await expect.poll(told).toBe('');
  reporter.close();
  await later.close();
});

it('says what time makes of a certificate when it is time', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-status-'));
  const { certificate, key } = opensslCertificate({ directory, name: 'front', days: 1 });
  rmSync(directory, { recursive: true });
  let now = Date.now();
  let wake = () => {};
  const clock = {
    now: () => now,
    sleep: () =>
      new Promise<void>((resolve) => {
        wake = resolve;
      }),
  };
  const reporter = new ProblemReporter(
    createBuiltInRegistry(),
    writer,
    (error) => errors.push(String(error)),
    clock,
  );
  const gateway = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'front', namespace: 'default' },
    spec: {
      servers: [
        {
          port: { number: 443, name: 'https', protocol: 'HTTPS' },
          hosts: ['*'],
          tls: { mode: 'SIMPLE', credentialName: 'front' },
        },
      ],
    },
  };
  const at = { resource: 'gateways.networking.istio.io', namespace: 'default', name: 'front' };
  await store.commit([{ type: 'put', ref: at, object: gateway }]);
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'front', namespace: 'default' },
    data: { 'tls.crt': btoa(certificate), 'tls.key': btoa(key) },
  };
  const told = async (): Promise<StatusCondition | undefined> => {
    await writer.flush();
    const status = (await store.get(at))?.object.status as { conditions?: StatusCondition[] } | undefined;
    return status?.conditions?.find(({ type }) => type === 'Accepted');
  };
  reporter.apply([{ kind: 'Gateway', key: 'default/front', value: gateway }], 1);
  await expect.poll(told).toMatchObject({ status: 'False', reason: 'CredentialNotFound' });
  reporter.apply([{ kind: 'Secret', key: 'default/front', value: secret }], 2);
  await expect.poll(told).toBeUndefined();
  now += 2 * 86_400_000;
  wake();
  await expect.poll(told).toMatchObject({ status: 'False', reason: 'CertificateExpired' });
  reporter.close();
});

it('takes back a condition of an earlier run that no longer holds', async () => {
  const stale = { type: 'Accepted', status: 'False' as const, reason: 'ReferencedHostNotFound' };
  const marked = {
    ...object,
    spec: { hosts: ['a'], http: [{ directResponse: { status: 200 } }] },
    status: { conditions: [stale] },
  };
  await store.commit([{ type: 'put', ref, object: marked }]);
  const reporter = new ProblemReporter(createBuiltInRegistry(), writer, (error) =>
    errors.push(String(error)),
  );
  reporter.apply([{ kind: 'VirtualService', key: 'default/reviews', value: marked }], 1);
  await reporter.observe([
    { group: 'networking.istio.io', kind: 'VirtualService', key: 'default/reviews', object: marked },
  ]);
  expect(await condition('Accepted')).toBeUndefined();
  reporter.close();
});

it('names the proxies that refuse an object, and reports when they accept it', async () => {
  const ledger = createLedger();
  const stop = new StatusReporter(createBuiltInRegistry(), writer).follow(ledger);
  const event = {
    proxyId: 'sidecar~1~a.default~x',
    typeUrl: typeUrls.virtualHost,
    resources: ['80/reviews'],
  };
  ledger.noteRejected({
    ...event,
    message: 'duplicate domain',
    origins: [{ kind: 'VirtualService', namespace: 'default', name: 'reviews', path: 'spec.http[0]' }],
    details: [],
  });
  expect(await condition('Programmed')).toMatchObject({
    status: 'False',
    reason: 'RejectedByProxy',
    message: /a\.default.*duplicate domain/,
  });
  ledger.noteRecovered(event);
  expect(await condition('Programmed')).toMatchObject({ status: 'True' });
  expect((await store.get(ref))?.object.status).toMatchObject({ observedGeneration: 3 });
  stop();
});

it('sets and removes other fields of a status, beside its conditions', async () => {
  const addresses = [{ value: '240.240.0.1', host: 'a.test' }];
  writer.report(ref, 'Programmed', { status: 'True', reason: 'Accepted' });
  writer.set(ref, 'addresses', addresses);
  expect(await condition('Programmed')).toMatchObject({ status: 'True' });
  expect((await store.get(ref))?.object.status).toMatchObject({ addresses });
  writer.set(ref, 'addresses', undefined);
  await writer.flush();
  expect((await store.get(ref))?.object.status).not.toHaveProperty('addresses');
});

it('takes back what an earlier run said and no proxy repeats', async () => {
  const refused = { type: 'Programmed', status: 'False' as const, reason: 'RejectedByProxy' };
  const marked = { ...object, status: { conditions: [refused] } };
  const other = { ...ref, name: 'other' };
  const twin = { ...marked, metadata: { ...object.metadata, name: 'other' } };
  await store.commit([
    { type: 'put', ref, object: marked },
    { type: 'put', ref: other, object: twin },
  ]);
  const ledger = createLedger();
  const reporter = new StatusReporter(createBuiltInRegistry(), writer, { doubtMs: 100 });
  const stop = reporter.follow(ledger);
  const group = 'networking.istio.io';
  reporter.observe([
    { group, kind: 'VirtualService', key: 'default/reviews', object: marked },
    { group, kind: 'VirtualService', key: 'default/other', object: twin },
  ]);
  ledger.noteRejected({
    proxyId: 'sidecar~1~a.default~x',
    typeUrl: typeUrls.virtualHost,
    resources: ['80/other'],
    message: 'duplicate domain',
    origins: [{ kind: 'VirtualService', namespace: 'default', name: 'other', path: '' }],
    details: [],
  });
  await expect.poll(() => condition('Programmed')).toMatchObject({ status: 'True' });
  const status = (await store.get(other))?.object.status as { conditions?: StatusCondition[] };
  expect(status.conditions).toContainEqual(expect.objectContaining(refused));
  stop();
});

it('writes nothing when nothing changes', async () => {
  writer.report(ref, 'Programmed', { status: 'True', reason: 'Accepted' });
  await writer.flush();
  const before = await store.revision();
  writer.report(ref, 'Programmed', { status: 'True', reason: 'Accepted' });
  await writer.flush();
  expect(await store.revision()).toBe(before);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { findEtcd, type RunningEtcd, startEtcd } from '../../../../test/support/etcd.ts';
import { createAuthority, generateKeys, issueCertificate, privateKeyPem } from '../../../kit/x509.ts';
import { describeStoreContract } from '../../testing/store-contract.ts';
import { put, ref, remove, write } from '../../testing/store-operations.ts';
import type { StoreEvent } from '../store.ts';
import { EtcdStore, type EtcdStoreOptions } from './etcd-store.ts';

/** Patient, because the machine may be busy. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, 30_000);

const available = findEtcd() !== undefined;
let etcd: RunningEtcd;
let stores = 0;

beforeAll(async () => {
  if (available) etcd = await startEtcd();
});
afterAll(async () => {
  await etcd?.stop();
});

function open(options: Partial<EtcdStoreOptions> = {}): EtcdStore {
  return new EtcdStore({
    endpoints: [etcd.endpoint],
    prefix: `/test-${stores++}`,
    progressMs: 20,
    maintenanceMs: 0,
    ...options,
  });
}

describe.skipIf(!available)('etcd (needs etcd on PATH, or apt as root)', () => {
  describeStoreContract('etcd', async () => {
    const prefix = `/contract-${stores++}`;
    const store = open({ prefix });
    return { store, reopen: async () => open({ prefix }), dispose: () => store.close() };
  });

  test('stores of different prefixes do not see each other', async () => {
    const [a, b] = [open({ prefix: '/shared' }), open({ prefix: '/shared-b' })];
    await write(a, put(ref('a')));
    await write(b, put(ref('b')));
    expect((await a.list({})).items.map((item) => item.ref.name)).toEqual(['a']);
    await Promise.all([a.close(), b.close()]);
  });

  test('several control planes on one prefix see each other’s writes, and one wins a race', async () => {
    const prefix = `/several-${stores++}`;
    const [a, b] = [open({ prefix }), open({ prefix })];
    const abort = new AbortController();
    const seen: string[] = [];
    const from = await b.revision();
    const watching = (async () => {
      for await (const item of b.watch({ from, signal: abort.signal })) {
        if (item.type === 'events')
          seen.push(...item.events.map((event) => `${event.type} ${event.ref.name}`));
      }
    })();
    const base = await write(a, put(ref('x')));
    const raced = await Promise.all([a, b].map((store) => store.commit([put(ref('x'), 2, base)])));
    expect(raced.filter((result) => result.ok)).toHaveLength(1);
    await write(b, remove(ref('x')));
    await eventually(() => expect(seen).toEqual(['added x', 'modified x', 'deleted x']));
    abort.abort();
    await watching;
    await Promise.all([a.close(), b.close()]);
  });

  test('racing deletes: each object goes once, and the last one changes nothing', async () => {
    const store = open();
    await write(store, put(ref('a')), put(ref('b')));
    const revisions = await Promise.all(
      Array.from({ length: 8 }, () => write(store, remove(ref('a')), remove(ref('b')))),
    );
    expect(new Set(revisions).size).toBe(1);
    await store.close();
  });

  test('a commit of too many operations says what to do', async () => {
    const store = open();
    const many = Array.from({ length: 200 }, (_, i) => put(ref(`s${i}`)));
    await expect(store.commit(many)).rejects.toMatchObject({
      code: 'RequestInvalid',
      message: expect.stringContaining('--max-txn-ops'),
    });
    await expect(
      store.commit([put(ref('a'), 'x'.repeat(1.49 * 1024 * 1024)), put(ref('b'), 'x'.repeat(100_000))]),
    ).rejects.toMatchObject({ code: 'ObjectTooLarge' });
    expect((await store.list({})).items).toEqual([]);
    await store.close();
  });

  test('history is compacted by itself', async () => {
    const store = open({ maintenanceMs: 20, historyMs: 1_000, historyCommits: 5 });
    const first = await write(store, put(ref('a')));
    for (let i = 0; i < 20; i++) await write(store, put(ref('a'), i));
    await eventually(() =>
      expect(store.list({ revision: first })).rejects.toMatchObject({ code: 'RevisionCompacted' }),
    );
    await store.close();
  });

  test('a watch resumes after etcd was killed, without a gap and without a repetition', async () => {
    const own = await startEtcd();
    const store = open({ endpoints: [own.endpoint] });
    try {
      const abort = new AbortController();
      const events: StoreEvent[] = [];
      const from = await store.revision();
      const watching = (async () => {
        for await (const item of store.watch({ from, signal: abort.signal }))
          if (item.type === 'events') events.push(...item.events);
      })();
      let written = 0;
      for (let i = 0; i < 10; i++) await write(store, put(ref(`s${written++}`)));
      await eventually(() => expect(events).toHaveLength(10));
      await own.kill();
      await expect(store.commit([put(ref('lost'))])).rejects.toMatchObject({ code: 'StoreUnavailable' });
      await own.restart();
      await eventually(() => store.revision());
      for (let i = 0; i < 10; i++) await write(store, put(ref(`s${written++}`)));
      await eventually(() => expect(events.length).toBeGreaterThanOrEqual(20));
      expect(events.map((event) => event.ref.name)).toEqual(Array.from({ length: 20 }, (_, i) => `s${i}`));
      abort.abort();
      await watching;
    } finally {
      await store.close();
      await own.stop();
    }
  });

  test('mutual TLS: with our certificate it works, without one it is refused', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ostria-etcd-tls-'));
    const times = { lifetimeMs: 3_600_000, now: Date.now() };
    const authority = await createAuthority({ commonName: 'test' }, times.lifetimeMs, times.now);
    const ca = authority.certificate.toString('pem');
    const issue = async (commonName: string) => {
      const keys = await generateKeys();
      const certificate = await issueCertificate(authority, {
        subject: { commonName },
        publicKey: keys.publicKey,
        usages: ['server', 'client'],
        names: ['127.0.0.1', 'etcd.test'],
        ...times,
      });
      return { cert: certificate.toString('pem'), key: await privateKeyPem(keys.privateKey) };
    };
    const server = await issue('server');
    const file = (name: string, text: string) => {
      writeFileSync(join(directory, name), text, { mode: 0o600 });
      return join(directory, name);
    };
    const own = await startEtcd({
      scheme: 'https',
      args: [
        ...['--cert-file', file('cert.pem', server.cert), '--key-file', file('key.pem', server.key)],
        ...['--client-cert-auth', '--trusted-ca-file', file('ca.pem', ca)],
      ],
    });
    try {
      const trusted = open({
        endpoints: [own.endpoint],
        prefix: '/tls',
        tls: { ca, ...(await issue('control-plane')) },
      });
      await write(trusted, put(ref('a')));
      expect((await trusted.list({})).items).toHaveLength(1);
      await trusted.close();
      const named = open({
        endpoints: [own.endpoint],
        prefix: '/tls',
        tls: { ca, ...(await issue('x')), serverName: 'etcd.test' },
      });
      expect((await named.list({})).items).toHaveLength(1);
      await named.close();
      const client = await issue('control-plane');
      for (const tls of [{ ca }, client, { ca, ...client, serverName: 'other.test' }]) {
        const refused = open({ endpoints: [own.endpoint], prefix: '/tls', tls });
        await expect(refused.commit([put(ref('b'))])).rejects.toMatchObject({ code: 'StoreUnavailable' });
        await refused.close();
      }
    } finally {
      await own.stop();
      rmSync(directory, { recursive: true });
    }
  });

  test('another endpoint is used when one is away', async () => {
    const store = open({ endpoints: ['127.0.0.1:1', etcd.endpoint] });
    expect(await store.list({})).toMatchObject({ items: [] });
    await write(store, put(ref('a')));
    await store.close();
  });
});

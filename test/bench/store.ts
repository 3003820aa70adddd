import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedStore } from '../../src/config/store/embedded/embedded-store.ts';
import { EtcdStore } from '../../src/config/store/etcd/etcd-store.ts';
import type { Store, WriteOp } from '../../src/config/store/store.ts';
import { findEtcd, startEtcd } from '../support/etcd.ts';
import { option } from './measure.ts';

/**
 * What the stores cost: durable commits a second with 1 and 64 writers, a list of 10,000 objects, the time from a commit's
 * call to its event, opening a store of 10,000. Prints JSON.
 *   node test/bench/store.ts [--seconds 2] [--objects 10000] [--store file|memory|etcd]
 */
const seconds = option('seconds', 2);
const objects = option('objects', 10_000);
const at = process.argv.indexOf('--store');
const only = at < 0 ? undefined : process.argv[at + 1];

function put(name: string, n: number): WriteOp {
  const metadata = { name, namespace: 'default', labels: { app: name, version: `v${n % 3}` } };
  // About 1 KB, as a VirtualService of a few routes.
  const http = Array.from({ length: 6 }, (_, i) => ({
    match: [{ uri: { prefix: `/path/${i}` } }],
    route: [{ destination: { host: `${name}.default.svc.cluster.local`, subset: `v${i}` }, weight: 100 }],
  }));
  const object = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata,
    spec: { hosts: [name], http },
  };
  return {
    type: 'put',
    ref: { resource: 'virtualservices.networking.istio.io', namespace: 'default', name },
    object,
  };
}

function quantiles(samples: number[]): Record<'p50' | 'p99' | 'max', number> {
  const sorted = samples.toSorted((a, b) => a - b);
  const pick = (q: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0);
  return { p50: pick(0.5), p99: pick(0.99), max: pick(1) };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

async function commits(store: Store, writers: number): Promise<Record<string, unknown>> {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = 0; performance.now() < end; n++) {
        const before = performance.now();
        const result = await store.commit([put(`writer-${writer}`, n)]);
        if (!result.ok) throw new Error('a conflict without a precondition');
        latencies.push(performance.now() - before);
      }
    }),
  );
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    writers,
    perSecond: Math.round(latencies.length / wall),
    cpuMsPerCommit: round((user + system) / 1000 / latencies.length),
    latencyMs: quantiles(latencies),
  };
}

async function listing(store: Store): Promise<Record<string, unknown>> {
  const chunk = 100;
  for (let n = 0; n < objects; n += chunk) {
    await store.commit(
      Array.from({ length: Math.min(chunk, objects - n) }, (_, i) => put(`object-${n + i}`, n)),
    );
  }
  const revision = await store.revision();
  const timed = async (work: () => Promise<number>) => {
    const start = performance.now();
    const count = await work();
    if (count < objects) throw new Error(`listed ${count} of ${objects}`);
    return round(performance.now() - start);
  };
  const resource = 'virtualservices.networking.istio.io';
  const whole = await timed(async () => (await store.list({ resource })).items.length);
  await store.commit([put('object-0', 1)]);
  const past = await timed(async () => (await store.list({ resource, revision })).items.length);
  const pages = await timed(async () => {
    let count = 0;
    let token: string | undefined;
    do {
      const page = await store.list({
        resource,
        limit: 500,
        ...(token === undefined ? {} : { continue: token }),
      });
      count += page.items.length;
      token = page.continue;
    } while (token !== undefined);
    return count;
  });
  return { objects, wholeMs: whole, atPastRevisionMs: past, pagesOf500Ms: pages };
}

/** From the call of commit to its event, at each watcher. */
async function watching(store: Store, watchers: number): Promise<Record<string, unknown>> {
  const abort = new AbortController();
  const fromCall: number[] = [];
  let calledAt = 0;
  const from = await store.revision();
  const readers = Array.from({ length: watchers }, async () => {
    for await (const item of store.watch({ from, signal: abort.signal })) {
      if (item.type === 'events') fromCall.push(performance.now() - calledAt);
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const rounds = 200;
  for (let n = 0; n < rounds; n++) {
    calledAt = performance.now();
    await store.commit([put('watched', n)]);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  abort.abort();
  await Promise.all(readers);
  if (fromCall.length !== rounds * watchers)
    throw new Error(`${fromCall.length} events of ${rounds * watchers}`);
  return { watchers, commitToEventMs: quantiles(fromCall) };
}

async function measure(store: Store): Promise<Record<string, unknown>> {
  return {
    commits: [await commits(store, 1), await commits(store, 64)],
    list: await listing(store),
    watch: [await watching(store, 1), await watching(store, 100)],
    residentMiB: Math.round(process.memoryUsage().rss / 1024 / 1024),
  };
}

async function inFile(): Promise<Record<string, unknown>> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-bench-'));
  try {
    const path = join(directory, 'store.db');
    const store = openEmbeddedStore({ path });
    const result = await measure(store);
    await store.close();
    const start = performance.now();
    const again = openEmbeddedStore({ path });
    const openMs = round(performance.now() - start);
    await again.close();
    return { ...result, openMs };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function inMemory(): Promise<Record<string, unknown>> {
  const store = openEmbeddedStore({ path: ':memory:' });
  const result = await measure(store);
  await store.close();
  return result;
}

async function inEtcd(): Promise<Record<string, unknown>> {
  if (findEtcd() === undefined) return { skipped: 'no etcd on PATH' };
  const etcd = await startEtcd();
  try {
    const store = new EtcdStore({ endpoints: [etcd.endpoint] });
    const result = await measure(store);
    await store.close();
    return result;
  } finally {
    await etcd.stop();
  }
}

const kinds = { file: inFile, memory: inMemory, etcd: inEtcd };
const results: Record<string, unknown> = {};
for (const [name, run] of Object.entries(kinds))
  if (only === undefined || only === name) results[name] = await run();
console.log(JSON.stringify({ node: process.version, seconds, ...results }, null, 2));

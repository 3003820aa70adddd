import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfigObject } from '../../src/config/object.ts';
import { History } from '../../src/control-plane/history/history.ts';
import type { ObservedChange } from '../../src/control-plane/history/observed-change.ts';
import { option } from './measure.ts';

/**
 * What the history costs: CPU and bytes of an edit, of a segment's base, of a restart, and of a look back. Prints JSON.
 *   node test/bench/history.ts [--objects 10000] [--edits 20000]
 */
const objects = option('objects', 10_000);
const edits = option('edits', 20_000);

/** About 1 KB, as a VirtualService of a few routes. */
function route(n: number, weight: number): ConfigObject {
  const name = `service-${n}`;
  const http = Array.from({ length: 6 }, (_, i) => ({
    match: [{ uri: { prefix: `/path/${i}` } }],
    route: [
      {
        destination: { host: `${name}.default.svc.cluster.local`, subset: `v${i}` },
        weight: i === 3 ? weight : 100,
      },
    ],
  }));
  const managedFields = [
    {
      manager: 'ostria',
      operation: 'Apply' as const,
      time: new Date(weight).toISOString(),
      fieldsV1: { 'f:spec': {} },
    },
  ];
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name, namespace: 'default', managedFields },
    spec: { hosts: [name], http },
  };
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** CPU and wall time of some work, ms. */
async function measure<T>(work: () => T | Promise<T>): Promise<{ value: T; cpuMs: number; wallMs: number }> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const value = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { value, cpuMs: round((user + system) / 1000), wallMs: round(performance.now() - start) };
}

const directory = mkdtempSync(join(tmpdir(), 'ostria-bench-history-'));
const world = new Map<string, ObservedChange>();
const observe = (object: ConfigObject): ObservedChange => {
  const key = `default/${object.metadata.name}`;
  const previous = world.get(key)?.object;
  const change = { group: 'networking.istio.io', kind: 'VirtualService', key, object, previous };
  world.set(key, change);
  return change;
};
const open = (): History =>
  new History({
    directory,
    present: () => world.values(),
    warn: (message) => process.stderr.write(`${message}\n`),
  });
const sizes = (ending: string): number =>
  readdirSync(directory)
    .filter((file) => file.endsWith(ending))
    .reduce((sum, file) => sum + statSync(join(directory, file)).size, 0);

try {
  for (let n = 0; n < objects; n++) observe(route(n, 0));
  const history = open();
  const base = await measure(async () => {
    await history.start();
    await history.settled();
  });
  const baseBytes = sizes('.base.jsonl.gz');
  const logged = sizes('9.jsonl') + sizes('1.jsonl');
  const changes = Array.from({ length: edits }, (_, n) => observe(route(n % objects, n + 1)));
  const heap = process.memoryUsage().heapUsed;
  const edited = await measure(async () => {
    for (const [n, change] of changes.entries()) {
      history.record('store', [change]);
      if (n % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
    await history.settled();
  });
  const bytes = sizes('.jsonl') - logged;
  const list = await measure(() => history.list({ limit: 100 }));
  const { revision } = history.newest;
  const past = await measure(() => history.objectsAt({ revision: Math.floor(revision / 2) }));
  const difference = await measure(() => history.difference({ revision: revision - 100 }, { revision }));
  await history.close();
  const again = open();
  const restart = await measure(() => again.start());
  await again.close();
  const { cpuMs, wallMs } = edited;
  const report = {
    objects,
    edits,
    edit: { cpuUs: round((cpuMs * 1000) / edits), bytes: Math.round(bytes / edits) },
    editsAll: { cpuMs, wallMs, files: readdirSync(directory).length },
    base: { cpuMs: base.cpuMs, wallMs: base.wallMs, bytes: baseBytes },
    list100: { cpuMs: list.cpuMs, wallMs: list.wallMs },
    objectsAt: { cpuMs: past.cpuMs, wallMs: past.wallMs, objects: past.value.state.size },
    difference100: {
      cpuMs: difference.cpuMs,
      wallMs: difference.wallMs,
      objects: difference.value.objects.length,
    },
    restart: { cpuMs: restart.cpuMs, wallMs: restart.wallMs },
    heapMiB: round((process.memoryUsage().heapUsed - heap) / 1024 / 1024),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

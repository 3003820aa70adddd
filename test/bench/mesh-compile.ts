import { setImmediate as pause } from 'node:timers/promises';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { createEngine, type Engine } from '../../src/snapshot/engine/engine.ts';

import type { WorldChange } from '../../src/snapshot/world.ts';
import {
  destinationRuleObject,
  type MeshSize,
  meshObjects,
  ObjectFeed,
  serviceObject,
  sidecar,
  sliceObject,
  virtualServiceObject,
} from './compile-mesh.ts';
import { cpuMs, median, option, weigh } from './measure.ts';

/**
 * The compile with all features, without parsing and delivery: what a first sync and a change cost. Prints JSON.
 *   node --expose-gc test/bench/mesh-compile.ts [--services 1000] [--proxies 500] [--namespaces 1] [--label-sets 1]
 */
const services = option('services', 1000);
const proxies = option('proxies', 500);
const namespaces = option('namespaces', 1);
const labelSets = option('label-sets', 1);
const size: MeshSize = { services, namespaces };
const rounds = 40;

function measure(engine: Engine, make: (round: number) => WorldChange[]) {
  const times: number[] = [];
  let most = { bytes: 0, clients: 0 };
  const start = cpuMs();
  for (let round = 0; round < rounds; round++) {
    const changes = make(round);
    const begin = performance.now();
    engine.apply(changes);
    const push = engine.flush();
    times.push(performance.now() - begin);
    if (push === undefined) throw new Error('an edit changed nothing');
    const weight = weigh(push);
    if (weight.bytes > most.bytes) most = weight;
  }
  const cpu = (cpuMs() - start) / rounds;
  return {
    medianMs: median(times),
    maxMs: Math.max(...times),
    cpuMs: cpu,
    bytesPerClient: most.bytes,
    clients: most.clients,
  };
}

function timed(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

async function sliced(engine: Engine, change: () => void) {
  change();
  const start = performance.now();
  let last = start;
  let longestBlockMs = 0;
  await engine.flushAsync({
    sliceMs: 20,
    pause: async () => {
      longestBlockMs = Math.max(longestBlockMs, performance.now() - last);
      await pause();
      last = performance.now();
    },
  });
  longestBlockMs = Math.max(longestBlockMs, performance.now() - last);
  return { wallMs: performance.now() - start, longestBlockMs };
}

const engine = createEngine({ roots: roots.collections });
const feed = new ObjectFeed();
const loadStart = cpuMs();
engine.apply(feed.put(...meshObjects(size)), 1);
engine.flush();
const loadCpuMs = cpuMs() - loadStart;
globalThis.gc?.();
const before = process.memoryUsage();

const cpuStart = cpuMs();
const connects: number[] = [];
for (let i = 0; i < proxies; i++) connects.push(timed(() => engine.connect(sidecar(i, size, labelSets))));
const firstSyncCpuMs = cpuMs() - cpuStart;
globalThis.gc?.();
const after = process.memoryUsage();
const types = ['cluster', 'endpoints', 'listener', 'route', 'virtualHost', 'secret'] as const;
const { typeUrls } = await import('../../src/snapshot/resource.ts');
const firstId = sidecar(0, size, labelSets).id;
const held = Object.fromEntries(types.map((type) => [type, engine.resources(firstId, typeUrls[type]).size]));
const statsAfterSync = engine.stats();

const at = (round: number) => ((round * 37) % Math.floor(services / 5)) * 5;
const edits = {
  virtualService: measure(engine, (round) =>
    feed.put(virtualServiceObject(at(round), size, 51 + (round % 49))),
  ),
  destinationRule: measure(engine, (round) => feed.put(destinationRuleObject(at(round), size, 200 + round))),
  endpointMove: measure(engine, (round) => feed.put(sliceObject((round * 13) % services, size, round + 1))),
  newService: measure(engine, (round) =>
    feed.put(serviceObject(services + round, size), sliceObject(services + round, size)),
  ),
  sourceLabels: measure(engine, (round) =>
    feed.put(virtualServiceObject(at(round), size, 40, { app: `app${round % labelSets}`, version: 'v1' })),
  ),
};
const reconnect = median(
  Array.from({ length: rounds }, (_, i) => timed(() => engine.connect(sidecar(i, size, labelSets)))),
);
const newNamespace = median(
  Array.from({ length: 9 }, (_, i) =>
    timed(() =>
      engine.connect({ ...sidecar(i, size, labelSets), id: `new${i}`, namespace: `elsewhere${i}` }),
    ),
  ),
);
const meshWideMs = timed(() => {
  engine.setMesh({ ...defaultMeshConfig, connectTimeout: '7s' });
  engine.flush();
});
const meshWide = await sliced(engine, () => engine.setMesh({ ...defaultMeshConfig, connectTimeout: '8s' }));
const { entries, cells, masks, projections, collections, queries } = statsAfterSync;
const mb = (bytes: number) => Math.round(bytes / 1048576);
console.log(
  JSON.stringify(
    {
      services,
      proxies,
      namespaces,
      labelSets,
      held,
      loadCpuMs,
      firstSyncCpuMs,
      connectMs: { first: connects[0], median: median([...connects]), max: Math.max(...connects) },
      residentMb: mb(after.rss),
      heapMb: { loaded: mb(before.heapUsed), synced: mb(after.heapUsed) },
      edits,
      joinMs: { reconnect, newNamespace },
      meshWideMs,
      meshWideSliced: meshWide,
      stats: {
        entries,
        cells,
        masks,
        projections,
        failures: engine.failures().length,
        classes: Object.fromEntries(
          collections.map((c) => [c.name, `${c.classes}×${Math.round(c.items / Math.max(1, c.classes))}`]),
        ),
        largest: [...queries]
          .sort((a, b) => b.entries - a.entries)
          .slice(0, 25)
          .map(
            (q) =>
              `${q.name}: ${q.entries} entries, ${q.instances} instances, ${q.maxClasses} classes, ${q.computed} runs`,
          ),
      },
    },
    null,
    2,
  ),
);

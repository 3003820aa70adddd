import { setImmediate as pause } from 'node:timers/promises';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { createEngine, type Engine } from '../../src/snapshot/engine/engine.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';
import {
  benchProxy,
  benchRoots,
  endpointChange,
  type MeshSize,
  meshChanges,
  ruleChange,
  serviceChanges,
  trafficChange,
} from './engine-mesh.ts';
import { cpuMs, median, option, weigh } from './measure.ts';

/**
 * The compile alone, without parsing and delivery: what a change costs. Prints JSON.
 *   node test/bench/engine.ts [--services 1000] [--proxies 500] [--namespaces 1] [--label-sets 100]
 */
const services = option('services', 1000);
const proxies = option('proxies', 500);
const namespaces = option('namespaces', 1);
const labelSets = option('label-sets', 100);
const size: MeshSize = { services, namespaces };
const rounds = 50;

interface EditFigures {
  readonly ms: number;
  readonly bytesPerClient: number;
}

function measure(engine: Engine, make: (round: number) => WorldChange[]): EditFigures {
  const times: number[] = [];
  let bytes = 0;
  for (let round = 0; round < rounds; round++) {
    const changes = make(round);
    const start = performance.now();
    engine.apply(changes);
    const push = engine.flush();
    times.push(performance.now() - start);
    bytes = Math.max(bytes, weigh(push).bytes);
    if (push === undefined) throw new Error('an edit changed nothing');
  }
  return { ms: median(times), bytesPerClient: bytes };
}

function timed(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

async function longestBlock(
  engine: Engine,
  change: () => void,
): Promise<{ wallMs: number; longestBlockMs: number }> {
  change();
  let last = performance.now();
  const start = last;
  let longest = 0;
  const measured = async () => {
    longest = Math.max(longest, performance.now() - last);
    await pause();
    last = performance.now();
  };
  await engine.flushAsync({ sliceMs: 20, pause: measured });
  longest = Math.max(longest, performance.now() - last);
  return { wallMs: performance.now() - start, longestBlockMs: longest };
}

const engine = createEngine({ roots: benchRoots });
globalThis.gc?.();
const before = process.memoryUsage().rss;
engine.apply(meshChanges(size), 1);
engine.flush();

const cpuStart = cpuMs();
for (let i = 0; i < proxies; i++) engine.connect(benchProxy(i, namespaces, labelSets));
const initialCpuMs = cpuMs() - cpuStart;
globalThis.gc?.();
const resident = process.memoryUsage().rss;

const at = (round: number) => ((round * 37) % Math.floor(services / 5)) * 5;
const edits = {
  virtualService: measure(engine, (round) => [ruleChange(at(round), size, (round % 49) + 51)]),
  destinationRule: measure(engine, (round) => [trafficChange(at(round), size, 200 + round)]),
  endpointMove: measure(engine, (round) => [endpointChange((round * 13) % services, size, round + 1)]),
  newService: measure(engine, (round) => serviceChanges(services + round, size)),
  sourceLabels: measure(engine, (round) => [
    ruleChange(at(round), size, 50, { app: `app${round % labelSets}`, n: String(round) }),
  ]),
};
const known = median(
  Array.from({ length: rounds }, (_, i) =>
    timed(() => engine.connect({ ...benchProxy(i, namespaces, labelSets), id: `again${i}` })),
  ),
);
const newNamespace = median(
  Array.from({ length: 9 }, (_, i) => {
    const proxy = benchProxy(i, namespaces, labelSets);
    return timed(() => engine.connect({ ...proxy, id: `new${i}`, namespace: `elsewhere${i}` }));
  }),
);
const meshWideMs = timed(() => {
  engine.setMesh({ ...defaultMeshConfig, connectTimeout: '7s' });
  engine.flush();
});
const sliced = await longestBlock(engine, () =>
  engine.setMesh({ ...defaultMeshConfig, connectTimeout: '8s' }),
);
const { entries, cells, masks, projections, collections } = engine.stats();
console.log(
  JSON.stringify(
    {
      services,
      proxies,
      namespaces,
      labelSets,
      initialCpuMs,
      residentMb: Math.round(resident / 1048576),
      addedMb: Math.round((resident - before) / 1048576),
      edits,
      joinMs: { knownClass: known, newNamespace },
      meshWideMs,
      sliced,
      stats: {
        entries,
        cells,
        masks,
        projections,
        classes: Object.fromEntries(collections.map((c) => [c.name, c.classes])),
      },
    },
    null,
    2,
  ),
);

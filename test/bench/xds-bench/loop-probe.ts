import { PerformanceObserver } from 'node:perf_hooks';

/**
 * Runs inside the process that is measured (`node --import`), and answers over its channel what no look from outside can tell: how
 * long its event loop was held up by its own work, and what its memory is made of.
 */
export interface ProbeAnswer {
  /** The longest time that the loop did not turn, ms: own work, and what others on the machine took from it meanwhile. */
  readonly longestBlockMs: number;
  /** The most CPU that the main thread spent between two turns, ms: own work alone. */
  readonly longestSliceMs: number;
  /** The longest pause for garbage within, ms. */
  readonly longestGcMs: number;
  /** MiB. `external`: buffers outside V8's heap. */
  readonly memory: { readonly heapUsed: number; readonly heapTotal: number; readonly external: number };
}

/** ms between looks: what a slice is measured too long by, at most. */
const everyMs = 3;

let longestBlockMs = 0;
let longestSliceMs = 0;
let longestGcMs = 0;

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

let lastAt = performance.now();
let lastCpu = cpuMs();
setInterval(() => {
  const now = performance.now();
  const cpu = cpuMs();
  longestBlockMs = Math.max(longestBlockMs, now - lastAt - everyMs);
  longestSliceMs = Math.max(longestSliceMs, cpu - lastCpu);
  lastAt = now;
  lastCpu = cpu;
}, everyMs).unref();

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestGcMs = Math.max(longestGcMs, duration);
}).observe({ entryTypes: ['gc'] });

const mib = (bytes: number): number => Math.round(bytes / 1024 / 102.4) / 10;

process.on('message', (message) => {
  if (message !== 'probe') return;
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  const answer: ProbeAnswer = {
    longestBlockMs,
    longestSliceMs,
    longestGcMs,
    memory: { heapUsed: mib(heapUsed), heapTotal: mib(heapTotal), external: mib(external) },
  };
  longestBlockMs = 0;
  longestSliceMs = 0;
  longestGcMs = 0;
  process.send?.(answer);
});
process.channel?.unref();

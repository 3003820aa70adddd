import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { roots } from '../pipeline/roots.ts';
import { defaultMeshConfig, type MeshConfig, overlayMeshConfig } from '../registry/mesh-config.ts';
import { createEngine, type Engine } from '../snapshot/engine/engine.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import type { FlushLog } from './delivery/flush-log.ts';
import { Flusher } from './flusher.ts';
import { LazyMemory } from './lazy-memory.ts';
import { lazySource } from './lazy-source.ts';
import type { Logger } from './log.ts';
import type { ControlPlaneOptions } from './options.ts';
import { describeFailure } from './status-reporter.ts';

/** How often unused results of the compile are looked for on an idle mesh, in ms. */
const collectEveryMs = 30_000;

/** The compile, and who decides when it runs. What ends them is added to `stops`. */
export function startCompile(
  flushes: FlushLog,
  log: Logger,
  stops: (() => void)[],
  holdClock: () => number,
): { engine: Engine; flusher: Flusher } {
  const engine = createEngine({ roots: roots.collections, pause: () => immediate() });
  const flusher = new Flusher(
    engine,
    (error) => log.error({ err: error }, 'the compile failed; proxies keep what they have'),
    { onFlush: (from, to) => flushes.flushed(from, to), now: holdClock },
  );
  stops.push(flushes.follow(engine));
  const collect = setInterval(() => engine.collect(), collectEveryMs).unref();
  const unsubscribe = engine.onFailures((failures) => {
    for (const failure of failures) log.warn(describeFailure(failure));
  });
  stops.push(
    () => clearInterval(collect),
    () => flusher.close(),
    () => unsubscribe(),
  );
  return { engine, flusher };
}

/** The settings of the mesh that hold until a source brings others. */
export function meshOf(options: ControlPlaneOptions): MeshConfig {
  return overlayMeshConfig(
    { ...defaultMeshConfig, defaultMtlsMode: options.defaultMtlsMode },
    options.meshConfig,
  );
}

/** What lazy sidecars use is kept beside the rest of the state. */
export function followLazily(
  options: ControlPlaneOptions,
  engine: Engine,
  flusher: Flusher,
  log: Logger,
  stops: (() => void | Promise<void>)[],
): ResourceSource {
  const memory = new LazyMemory({
    ...(options.state === undefined ? {} : { file: join(options.state, 'lazy-usage.json') }),
    warn: (message) => log.warn(message),
  });
  stops.push(() => memory.close());
  return lazySource(engine, memory, {
    async push(change, isSmall) {
      if (isSmall) return flusher.applyNow(change);
      change();
      await flusher.soon();
    },
    get isIdle() {
      return flusher.isIdle;
    },
  });
}

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ApiLimits } from '../limits.ts';
import { badRequest } from '../status.ts';
import { type ParsedBody, parentPath, parseYamlBody } from './yaml-body.ts';
import type { YamlTask, YamlVerdict } from './yaml-worker.ts';

/** A larger body, or one with aliases, is parsed aside. 16 KiB take about 10 ms. */
const inlineCharacters = 16 * 1024;
const workerMemoryMb = 512;
const workerIdleMs = 30_000;

/**
 * Parses one YAML document. YAML costs up to a hundred times the CPU of JSON of the same size, and seconds where someone
 * means it badly, so all but small bodies are parsed in a thread of their own, one after another: no body holds the mesh up.
 */
export async function parseYaml(text: string, limits: ApiLimits): Promise<ParsedBody> {
  const aliases = text.includes('&') && text.includes('*');
  if (text.length <= inlineCharacters && !aliases) return parseYamlBody(text, limits);
  const turn = queue.then(() => parseAside({ text, limits }));
  queue = turn.catch(() => undefined);
  const verdict = await turn;
  if ('refused' in verdict) throw badRequest(verdict.refused);
  const { json, duplicates, places } = verdict;
  return { value: JSON.parse(json), duplicates, locate: (path) => locate(places, path) };
}

let queue: Promise<unknown> = Promise.resolve();
let idle: { worker: Worker; timer: NodeJS.Timeout } | undefined;

function parseAside(task: YamlTask): Promise<YamlVerdict> {
  const worker = takeWorker();
  return new Promise((resolve, reject) => {
    const settle = (verdict: YamlVerdict | Error, reuse: boolean): void => {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError);
      if (reuse) keepWorker(worker);
      else void worker.terminate();
      if (verdict instanceof Error) reject(verdict);
      else resolve(verdict);
    };
    const onMessage = (verdict: YamlVerdict): void => settle(verdict, true);
    const onError = (error: NodeJS.ErrnoException): void =>
      settle(
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? { refused: 'the YAML needs too much memory; send JSON' }
          : error,
        false,
      );
    const timer = setTimeout(
      () => settle({ refused: `parsing the YAML takes longer than ${task.limits.yamlMs} ms` }, false),
      task.limits.yamlMs,
    );
    worker.on('message', onMessage).on('error', onError);
    worker.postMessage(task);
  });
}

function takeWorker(): Worker {
  const kept = idle;
  idle = undefined;
  if (!kept) {
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    return new Worker(join(import.meta.dirname, `yaml-worker.${extension}`), {
      resourceLimits: { maxOldGenerationSizeMb: workerMemoryMb },
    });
  }
  clearTimeout(kept.timer);
  kept.worker.ref();
  return kept.worker;
}

function keepWorker(worker: Worker): void {
  worker.unref();
  const timer = setTimeout(() => {
    idle = undefined;
    void worker.terminate();
  }, workerIdleMs);
  timer.unref();
  idle = { worker, timer };
}

function locate(places: string, path: string): string | undefined {
  for (let at = path; ; at = parentPath(at)) {
    const start = places.indexOf(`\n${at}\t`);
    if (start >= 0) return places.slice(start + at.length + 2, places.indexOf('\n', start + 1));
    if (at === '') return undefined;
  }
}

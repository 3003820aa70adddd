// `reaper-program.ts RUN PARENT`: once its input ends (with the run of tests, however that ends), it ends what the run left behind, and names it.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProcessId, processId, signalProcess } from '../../src/kit/process-id.ts';

/** For what is just about to end, ms. */
const graceMs = 10_000;
const [run = '', parent = ''] = process.argv.slice(2);

/** Processes whose environment names the run, but for children of vitest itself, which end with it. */
function ofTheRun(): ProcessId[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, 'latin1').split('\0');
      const isOfRun = environment.includes(`OSTRIA_TEST_RUN=${run}`) && parentOf(name) !== parent;
      return isOfRun ? (processId(Number(name)) ?? []) : [];
    } catch {
      return [];
    }
  });
}

function parentOf(pid: string): string | undefined {
  return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
}

function commandOf({ pid }: ProcessId): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').slice(0, 300);
  } catch {
    return '';
  }
}

for await (const _ of process.stdin);
if (run !== '') {
  const until = performance.now() + graceMs;
  let left = ofTheRun();
  while (left.length > 0 && performance.now() < until) {
    await sleep(100);
    left = ofTheRun();
  }
  for (const id of left) process.stderr.write(`left behind by a test: ${id.pid} ${commandOf(id)}\n`);
  // What supervises others starts them again: until none is there.
  for (let round = 0; left.length > 0 && round < 50; round++) {
    for (const id of left) signalProcess(id, 'SIGKILL');
    await sleep(100);
    left = ofTheRun();
  }
}

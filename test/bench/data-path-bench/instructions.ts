import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findEnvoy } from '../../../src/agent/envoy-binary.ts';
import { startVariant, type VariantName, variantPlans } from './variants.ts';

const run = promisify(execFile);
/** Before anything is counted: connections open, tables are filled. */
const warmUp = 320;
const warmUps = 2;

/** Of one request, user mode alone, all threads. */
interface InstructionFigures {
  readonly client: number;
  readonly server: number;
  readonly sum: number;
}

export interface InstructionOptions {
  readonly variants: readonly VariantName[];
  readonly connections: number;
  readonly requests: number;
  readonly appPort: number;
  readonly collectorPort: number;
}

/**
 * How many instructions a request costs each sidecar, counted by Valgrind: the same on every machine and however busy it is, to about one
 * percent. What the kernel does and what caches miss is not in it, and Envoy is so slow that many requests travel together.
 */
export async function countInstructions(
  options: InstructionOptions,
): Promise<Record<string, InstructionFigures>> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-instructions-'));
  try {
    process.env.OSTRIA_ENVOY = await writeWrapper(directory);
    const figures: Record<string, InstructionFigures> = {};
    for (const name of options.variants) figures[name] = await countVariant(name, directory, options);
    return figures;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function writeWrapper(directory: string): Promise<string> {
  const { path } = await findEnvoy({ log: () => undefined });
  const file = join(directory, 'envoy');
  const flags = [
    ...['--tool=callgrind', '--instr-atstart=no', '--fair-sched=yes'],
    ...[`--callgrind-out-file=${directory}/out.%p`, `--log-file=${directory}/log.%p`],
    `--vgdb-prefix=${directory}/vgdb`,
  ].join(' ');
  await writeFile(
    file,
    `#!/bin/sh\n[ "$1" = --version ] && exec '${path}' --version\nexec valgrind ${flags} '${path}' "$@"\n`,
  );
  await chmod(file, 0o700);
  return file;
}

async function countVariant(
  name: VariantName,
  directory: string,
  { connections, requests, appPort, collectorPort }: InstructionOptions,
): Promise<InstructionFigures> {
  const variant = await startVariant(name, variantPlans[name], appPort, collectorPort);
  try {
    const pids = variant.envoys.map(({ id }) => id.pid);
    const control = async (...args: string[]): Promise<void> => {
      for (const pid of pids)
        await run('callgrind_control', [`--vgdb-prefix=${directory}/vgdb`, ...args, String(pid)]);
    };
    const load = (count: number) =>
      run('h2load', [...['--h1', '-t', '1', '-n', String(count), '-c', String(connections)], variant.url]);
    await load(warmUp);
    await control('-i', 'on');
    await load(warmUp);
    await control('-z');
    await load(requests);
    await control('-d');
    await variant.verify(warmUps * warmUp + requests);
    const [client = 0, server = 0] = await Promise.all(
      pids.map(async (pid) => Math.round((await dumped(directory, pid)) / requests)),
    );
    return { client, server, sum: client + server };
  } finally {
    await variant.stop();
  }
}

/** The counts of a process since they were set to zero, of its only dump. */
async function dumped(directory: string, pid: number): Promise<number> {
  const file = (await readdir(directory)).find((name) => name.startsWith(`out.${pid}.`));
  const text = file === undefined ? '' : await readFile(join(directory, file), 'utf8');
  const [, total] = /^summary: (\d+)/m.exec(text) ?? [];
  if (total === undefined) throw new Error(`Valgrind told nothing of process ${pid}`);
  return Number(total);
}

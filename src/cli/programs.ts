import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentEnvironment, agentNodeFlags } from '../agent/agent-command.ts';

/** True when the sources run, not the bundle. */
const fromSource = import.meta.filename.endsWith('.ts');

export type Program = 'cli' | 'control-plane' | 'agent';

/**
 * V8's settings by program; Node 24 and 26 know all of them. The control plane's were measured with `bench:xds`, 1,000 services and
 * 500 clients with TLS:
 * - a young generation of 4 MB a half: 16 cost 10 to 25 MB more resident memory at equal CPU, 2 cost CPU in mesh-wide pushes;
 * - a heap that is collected once it has grown by 40 %: V8 would let garbage double it, 30 to 45 MB;
 * - Maglev as the last of the compilers: TurboFan took a seventh of the CPU of edits, and what it made saved less than that, in a
 *   compile of 6,000 services too.
 */
const nodeFlags: Readonly<Record<Program, readonly string[]>> = {
  cli: [],
  'control-plane': ['--max-semi-space-size=4', '--heap-growing-percent=40', '--no-turbofan'],
  agent: agentNodeFlags,
};

/**
 * Environment by program. glibc gives the control plane's buffers of 64 KiB and more pages of their own: of the one that Node keeps for
 * each connection with TLS most is never touched, yet within the heap it stands on memory that was; 15 MB for 500 clients.
 */
const environments: Readonly<Record<Program, Readonly<Record<string, string>>>> = {
  cli: {},
  'control-plane': { MALLOC_MMAP_THRESHOLD_: '65536' },
  agent: agentEnvironment,
};

/** What one of Ostria's programs is to find in its environment, beside what it inherits. */
export function programEnvironment(program: Program): Readonly<Record<string, string>> {
  return environments[program];
}

/** The Node that runs this, with its flags for one of Ostria's programs: what follows is the program's file. */
export function nodeCommand(program: Program): string[] {
  return [process.execPath, ...nodeFlags[program]];
}

/** The command line that runs one of Ostria's programs with the Node that runs this. */
export function programCommand(program: Program): string[] {
  const path = fromSource
    ? join(import.meta.dirname, '..', program, 'main.ts')
    : join(import.meta.dirname, `${program}.js`);
  return [...nodeCommand(program), path];
}

/** Where our own sources are, when they are what runs. */
export function sourceDirectory(): string | undefined {
  return fromSource ? join(import.meta.dirname, '..') : undefined;
}

/** Changes with the programs' code: a process of another build is not adopted. '' where it is not known. */
export function buildId(): string {
  if (fromSource) return '';
  try {
    return readFileSync(join(import.meta.dirname, '.sources'), 'utf8').slice(0, 16);
  } catch {
    return '';
  }
}

declare const __OSTRIA_VERSION__: string | undefined;

/** Ostria's version; the bundler writes it in. */
export function ostriaVersion(): string {
  if (typeof __OSTRIA_VERSION__ === 'string') return __OSTRIA_VERSION__;
  const manifest = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentNodeFlags } from '../agent/agent-command.ts';

/** True when the sources run, not the bundle. */
const fromSource = import.meta.filename.endsWith('.ts');

/**
 * V8's settings by program. The control plane's young generation is kept at 4 MB a half: measured with `bench:xds`, 16 cost 10 to 25 MB
 * more resident memory at equal CPU, 2 cost CPU in mesh-wide pushes.
 */
const nodeFlags: Readonly<Record<'cli' | 'control-plane' | 'agent', readonly string[]>> = {
  cli: [],
  'control-plane': ['--max-semi-space-size=4'],
  agent: agentNodeFlags,
};

/** The command line that runs one of Ostria's programs with the Node that runs this. */
export function programCommand(program: 'cli' | 'control-plane' | 'agent'): string[] {
  const path = fromSource
    ? join(import.meta.dirname, '..', program, 'main.ts')
    : join(import.meta.dirname, `${program}.js`);
  return [process.execPath, ...nodeFlags[program], path];
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

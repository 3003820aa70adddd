import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessId, signalProcess } from '../../src/kit/process-id.ts';
import { envoyPath } from './envoy.ts';
import type { OwnControlPlane } from './own-control-plane.ts';
import { waitFor } from './wait-for.ts';

const main = join(import.meta.dirname, '../../src/agent/main.ts');

/** An agent of ours on a machine of its own (a network namespace), with captured traffic. */
export interface VmAgent {
  start(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  envoyId(): ProcessId;
  log(): string;
  cleanUp(): Promise<void>;
}

export async function createVmAgent(
  controlPlane: OwnControlPlane,
  prefix: readonly string[],
  config: {
    workload: string;
    serviceAccount: string;
    controlPlane: string;
    addresses: readonly string[];
    [field: string]: unknown;
  },
): Promise<VmAgent> {
  const directory = join(controlPlane.directory, config.workload);
  const stateDirectory = join(directory, 'state');
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'agent.json');
  const path = await envoyPath();
  let text = '';
  let child: ChildProcess | undefined;
  const seen = new Map<number, ProcessId>();
  const envoyId = (): ProcessId => {
    const id = JSON.parse(readFileSync(join(stateDirectory, 'envoy-process.json'), 'utf8')) as ProcessId;
    seen.set(id.pid, id);
    return id;
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child?.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await ended;
  };
  return {
    envoyId,
    kill,
    log: () => text,
    async start() {
      writeFileSync(
        file,
        JSON.stringify({
          namespace: 'default',
          stateDirectory,
          ports: { readiness: 15_021, metrics: 15_020 },
          envoy: { path },
          ...config,
          controlPlane: { address: config.controlPlane, rootFile: controlPlane.rootFile },
          credential: { joinTokenFile: controlPlane.joinToken(config.serviceAccount) },
        }),
      );
      const [command = '', ...args] = [...prefix, process.execPath, main, '--config', file];
      child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      await new Promise<void>((resolve, reject) => child?.once('spawn', resolve).once('error', reject));
    },
    async cleanUp() {
      await kill();
      try {
        envoyId();
      } catch {
        // None was started.
      }
      for (const id of seen.values()) {
        signalProcess(id, 'SIGKILL');
        await waitFor('Envoy to end', () => !isAlive(id));
      }
    },
  };
}

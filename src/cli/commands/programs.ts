import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { programCommand, programEnvironment } from '../programs.ts';

/** `ostria control-plane` and `ostria agent` run programs of their own: their flags are theirs. */
export function registerPrograms(program: Command): void {
  for (const [name, summary] of [
    ['control-plane', 'run the control plane alone, in the foreground'],
    ['agent', 'run the agent beside one workload, in the foreground'],
  ] as const)
    program
      .command(name)
      .summary(summary)
      .argument('[arguments...]')
      .allowUnknownOption()
      .passThroughOptions()
      .helpOption(false)
      .action(async (args: string[]) => {
        process.exitCode = await runProgram(name, args);
      });
  program
    .command('supervisor', { hidden: true })
    .requiredOption('--state <directory>')
    .action(async ({ state }: { state: string }) => {
      const { runSupervisor } = await import('../supervisor/main.ts');
      await runSupervisor(state);
      process.exit(0);
    });
}

function runProgram(name: 'control-plane' | 'agent', args: readonly string[]): Promise<number> {
  const [command = '', ...first] = programCommand(name);
  return new Promise((resolve, reject) => {
    const env = { ...programEnvironment(name), ...process.env };
    const child = spawn(command, [...first, ...args], { stdio: 'inherit', env });
    const forward = (signal: NodeJS.Signals): void => {
      if (signal !== 'SIGINT' || !(process.stdin.isTTY || process.stderr.isTTY)) child.kill(signal);
    };
    process.on('SIGINT', forward).on('SIGTERM', forward).on('SIGHUP', forward);
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

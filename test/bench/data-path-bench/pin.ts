import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Every thread of a process stays on a core; programs that it starts later inherit that. Needs util-linux' `taskset`. */
export function pinTo(core: number, pid: number): void {
  execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', String(core), String(pid)], {
    stdio: 'ignore',
  });
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

import { watch } from 'node:fs';
import { sep } from 'node:path';

/** Several writes that belong together (an editor's, a build's) are one change. */
const settleMs = 200;
const ignored = /(^|[/\\])(node_modules|\.[^/\\]*|dist|coverage)([/\\]|$)|~$|\.(log|tmp|swp)$/;

/** Calls back when files below a directory change, until the signal ends. `onProblem`: it cannot be watched. */
export function watchTree(
  directory: string,
  onChange: (file: string) => void,
  signal: AbortSignal,
  onProblem: (error: Error) => void,
): void {
  let timer: NodeJS.Timeout | undefined;
  try {
    const watcher = watch(directory, { recursive: true, signal }, (_, file) => {
      if (file === null || ignored.test(file)) return;
      clearTimeout(timer);
      timer = setTimeout(() => onChange(`${directory}${sep}${file}`), settleMs);
    });
    watcher.on('error', onProblem);
  } catch (error) {
    onProblem(error as Error);
  }
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
}

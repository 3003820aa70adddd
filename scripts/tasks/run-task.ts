import { join } from 'node:path';
import { benchTasks } from './bench.ts';
import { checkTask, formatTask } from './check.ts';
import { demoTask } from './demo.ts';
import { devTask } from './dev.ts';
import { newFeatureTask } from './new-feature.ts';
import { runNode, type Task, tools } from './task.ts';
import { testTasks } from './test.ts';

/** Every `npm run` script, in the order in which `npm run help` of a newcomer would want them. */
export const tasks: Readonly<Record<string, Task>> = {
  demo: demoTask,
  dev: devTask,
  build: { summary: 'bundle dist/ when the sources changed', build: true, run: async () => 0 },
  check: checkTask,
  ...testTasks,
  'golden:write': {
    summary: 'rewrite the golden files and delete orphans',
    run: ({ root, args }) =>
      runNode(root, tools.vitest, ['run', 'golden', ...args], { ...process.env, OSTRIA_GOLDEN: 'write' }),
  },
  ...benchTasks,
  generate: {
    summary: 'rewrite gen/ from the pinned modules (needs Go)',
    run: ({ root, args }) => runNode(root, 'tools/generate/run.mjs', args),
  },
  'new-feature': newFeatureTask,
  format: formatTask,
};

/** Runs one task of the checkout at `root`. Resolves with its exit code. */
export async function runTask(
  name: string | undefined,
  args: readonly string[],
  root: string,
): Promise<number> {
  const task = name === undefined ? undefined : tasks[name];
  if (!task) {
    const width = Math.max(...Object.keys(tasks).map((key) => key.length));
    process.stderr.write(`${name === undefined ? 'which task?' : `there is no task ${name}`} These exist:\n`);
    for (const [key, { summary }] of Object.entries(tasks))
      process.stderr.write(`  npm run ${key.padEnd(width)}  ${summary}\n`);
    return 2;
  }
  if (task.build) await build(root);
  return task.run({ root, args });
}

async function build(root: string): Promise<void> {
  const { ensureBuilt } = await import(join(root, 'scripts', 'launcher', 'build.mjs'));
  if (await ensureBuilt(root, process.execPath)) process.stderr.write('Built dist/\n');
}

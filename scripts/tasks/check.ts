import { assertImportRules } from './import-rules.ts';
import { runNode, type Task, tools } from './task.ts';

/** One static check; `run` resolves with an exit code. */
export interface Check {
  readonly name: string;
  run(root: string): Promise<number>;
}

export const checks: readonly Check[] = [
  {
    name: 'types (tsc)',
    run: (root) => runNode(root, tools.tsc, ['--noEmit', '--pretty', 'false', '-p', '.']),
  },
  {
    name: 'lint and format (biome)',
    run: (root) => runNode(root, tools.biome, ['check', '--max-diagnostics=50', '.']),
  },
  { name: 'imports (dependency-cruiser)', run: assertImportRules },
  { name: 'unused files, exports and dependencies (knip)', run: (root) => runNode(root, tools.knip, []) },
];

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
}

/** Runs every check, also after a failure, so that one run names everything there is to mend. */
export async function runChecks(root: string): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const { name, run } of checks) {
    process.stdout.write(`check: ${name}\n`);
    const code = await run(root);
    results.push({ name, ok: code === 0 });
    if (code !== 0) process.stdout.write(`check: ${name}: failed with exit code ${code}\n`);
  }
  return results;
}

export const checkTask: Task = {
  summary: 'types, lint, format, import rules, unused code',
  run: async ({ root }) => {
    const failed = (await runChecks(root)).filter(({ ok }) => !ok);
    if (failed.length === 0) process.stdout.write('all checks passed\n');
    else process.stdout.write(`failed: ${failed.map(({ name }) => name).join('; ')}\n`);
    return failed.length === 0 ? 0 : 1;
  },
};

export const formatTask: Task = {
  summary: 'format the sources and sort their imports',
  run: ({ root, args }) =>
    runNode(root, tools.biome, ['check', '--write', ...(args.length > 0 ? args : ['.'])]),
};

import { pooled } from '../../src/kit/pooled.ts';
import { checkImportRules } from './import-rules.ts';
import { type CheckOutcome, captureNode, runNode, type Task, tools } from './task.ts';

/** One static check. */
export interface Check {
  readonly name: string;
  run(root: string): Promise<CheckOutcome>;
}

export const checks: readonly Check[] = [
  {
    name: 'types (tsc)',
    run: programCheck(tools.tsc, ['--noEmit', '--pretty', 'false', '-p', '.']),
  },
  {
    name: 'lint and format (biome)',
    run: programCheck(tools.biome, ['check', '--max-diagnostics=50', '.']),
  },
  { name: 'imports (dependency-cruiser)', run: checkImportRules },
  { name: 'unused files, exports and dependencies (knip)', run: programCheck(tools.knip, []) },
];

function programCheck(program: string, args: readonly string[]): Check['run'] {
  return async (root) => {
    const { code, stdout, stderr } = await captureNode(root, program, args);
    return { ok: code === 0, said: stdout + stderr };
  };
}

/** Each of them keeps one core busy; of memory, two take 2 GB. */
const atOnce = 2;

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
}

/** Runs every check, also after a failure, so that one run names everything there is to mend. */
export function runChecks(root: string): Promise<CheckResult[]> {
  return pooled(checks, atOnce, async ({ name, run }) => {
    const { ok, said } = await run(root);
    process.stdout.write(`check: ${name}${ok ? '' : ': failed'}\n${said}`);
    return { name, ok };
  });
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

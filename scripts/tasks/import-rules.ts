import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { tools } from './task.ts';

interface CruiseResult {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string; readonly severity: string };
    }[];
  };
}

/**
 * Fewer modules than this were read: dependency-cruiser saw nothing (it does with a parser it does not know) and its
 * "no violations" means nothing. The tree had more when this number was chosen.
 */
const minimumModules = 400;

/** Runs dependency-cruiser with the rules of the tree over some directories of a tree. Throws when it cannot run at all. */
export function cruise(root: string, directories: readonly string[], baseDirectory = root): CruiseResult {
  const done = spawnSync(
    process.execPath,
    [
      join(root, tools.depcruise),
      ...['--config', join(root, '.dependency-cruiser.mjs'), '--output-type', 'json', ...directories],
    ],
    { cwd: baseDirectory, encoding: 'utf8', maxBuffer: 256 << 20 },
  );
  try {
    return JSON.parse(done.stdout);
  } catch {
    throw new Error(`dependency-cruiser did not answer: ${done.stderr || done.stdout || done.error}`);
  }
}

/** What a cruise proves: `lines` are for people. */
export function judge({ summary }: CruiseResult): { ok: boolean; lines: string[] } {
  const lines = summary.violations.map(
    ({ from, to, rule }) => `${rule.severity} ${rule.name}: ${from} imports ${to}`,
  );
  if (summary.totalCruised < minimumModules)
    return {
      ok: false,
      lines: [
        ...lines,
        `only ${summary.totalCruised} modules were read, fewer than ${minimumModules}: the check saw nothing`,
      ],
    };
  return {
    ok: !summary.violations.some(({ rule }) => rule.severity === 'error'),
    lines: [...lines, `${summary.totalCruised} modules`],
  };
}

/** Resolves with 0 when `src/` and `samples/` keep the import rules, else prints each violation. */
export async function assertImportRules(root: string): Promise<number> {
  const { ok, lines } = judge(cruise(root, ['src', 'samples']));
  for (const line of lines) process.stdout.write(`  ${line}\n`);
  return ok ? 0 : 1;
}

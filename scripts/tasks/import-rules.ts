import { join } from 'node:path';
import { type CheckOutcome, captureNode, tools } from './task.ts';

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
export async function cruise(
  root: string,
  directories: readonly string[],
  baseDirectory = root,
): Promise<CruiseResult> {
  const args = ['--config', join(root, '.dependency-cruiser.mjs'), '--output-type', 'json', ...directories];
  const { stdout, stderr } = await captureNode(root, tools.depcruise, args, baseDirectory);
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`dependency-cruiser did not answer: ${stderr || stdout}`);
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

/** Whether `src/` and `samples/` keep the import rules; what it says names each violation. */
export async function checkImportRules(root: string): Promise<CheckOutcome> {
  const { ok, lines } = judge(await cruise(root, ['src', 'samples']));
  return { ok, said: lines.map((line) => `  ${line}\n`).join('') };
}

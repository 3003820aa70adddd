/** How one case ended. A case whose behaviour is not built yet is skipped, with the reason. */
export interface CaseOutcome {
  name: string;
  outcome: 'passed' | 'failed' | 'skipped';
  why?: string;
}

/** Runs all cases of a group on the data folder. */
export type ConformanceGroup = (folder: string) => CaseOutcome[] | Promise<CaseOutcome[]>;

export interface GroupResult {
  passed: number;
  failed: number;
  skipped: number;
  failures: { name: string; why: string }[];
  /** Reasons for skipping, each with its number of cases. */
  skips: Record<string, number>;
}

export function summarise(outcomes: readonly CaseOutcome[]): GroupResult {
  const count = (outcome: CaseOutcome['outcome']) => outcomes.filter((one) => one.outcome === outcome).length;
  const skips: Record<string, number> = {};
  for (const { outcome, why = 'no reason given' } of outcomes)
    if (outcome === 'skipped') skips[why] = (skips[why] ?? 0) + 1;
  return {
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    failures: outcomes.filter((one) => one.outcome === 'failed').map(({ name, why = '' }) => ({ name, why })),
    skips,
  };
}

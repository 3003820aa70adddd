import { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { median } from '../measure.ts';
import { round } from '../xds-bench/process-usage.ts';

export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
}

/** Of pairs taken in the same round: what else the machine does then weighs on both. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.flatMap((value, i) => (below[i] ? [round(value / below[i], 3)] : []));
}

const resamples = 2_000;

/**
 * Where the median lies with 95 % confidence: the middle of the medians of samples drawn from these values with replacement (a percentile
 * bootstrap). The draws are the same each time.
 */
export function medianInterval(values: readonly number[]): readonly [low: number, high: number] {
  const random = new Random(1);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[random.below(values.length)] ?? 0)),
  );
  return [round(quantile(medians, 0.025), 3), round(quantile(medians, 0.975), 3)];
}

/** `undecided`: more rounds, or a quieter machine, are needed. */
export function verdict(
  [low, high]: readonly [number, number],
  budget: number,
): 'holds' | 'missed' | 'undecided' {
  if (high <= budget) return 'holds';
  return low > budget ? 'missed' : 'undecided';
}

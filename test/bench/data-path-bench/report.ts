import { median } from '../measure.ts';
import { round } from '../xds-bench/process-usage.ts';
import type { LoadFigures } from './load.ts';
import { medianInterval, quantile, ratios, verdict } from './statistics.ts';
import type { VariantName } from './variants.ts';

/** The design's budget: our CPU per request over that of the long chain over HTTP/1.1. */
export const budget = 0.65;
const judged: VariantName = 'longChainHttp1';

/** One load on one variant. */
export interface Sample extends LoadFigures {
  /** Of both Envoys; 0 for direct calls. */
  readonly cpuMicroseconds: number;
}

/** By target, by load, in the order of the rounds. */
export type Samples = ReadonlyMap<string, ReadonlyMap<string, Sample[]>>;

function values(samples: Samples, target: string, load: string, key: keyof Sample): number[] {
  return (samples.get(target)?.get(load) ?? []).map((sample) => sample[key]);
}

/** One load's figures for every target. */
export function summary(samples: Samples, load: string) {
  const middle = (target: string, key: keyof Sample, digits: number): number =>
    round(median(values(samples, target, load, key)), digits);
  return Object.fromEntries(
    [...samples.keys()].map((target) => [
      target,
      {
        perSecond: middle(target, 'perSecond', 0),
        ...(target === 'direct' ? {} : { cpuMicroseconds: middle(target, 'cpuMicroseconds', 1) }),
        p50Ms: middle(target, 'p50', 3),
        p99Ms: middle(target, 'p99', 3),
      },
    ]),
  );
}

/** Ours over every other target under one load: medians of the rounds' ratios. */
export function comparison(samples: Samples, load: string) {
  const pairs = (target: string, key: keyof Sample): number[] =>
    ratios(values(samples, 'ours', load, key), values(samples, target, load, key));
  return Object.fromEntries(
    [...samples.keys()]
      .filter((target) => target !== 'ours')
      .map((target) => [
        target,
        {
          ...(target === 'direct' ? {} : { cpu: ofRounds(pairs(target, 'cpuMicroseconds')) }),
          p50: round(median(pairs(target, 'p50')), 3),
          p99: round(median(pairs(target, 'p99')), 3),
        },
      ]),
  );
}

function ofRounds(perRound: readonly number[]) {
  return { median: round(median(perRound), 3), interval95: medianInterval(perRound) };
}

/** `perRound` shows how much of a figure is the machine's mood. */
export function budgetVerdict(samples: Samples, load: string) {
  const cpu = (target: VariantName): number[] => values(samples, target, load, 'cpuMicroseconds');
  const perRound = ratios(cpu('ours'), cpu(judged));
  if (perRound.length === 0) return undefined;
  const { median: middle, interval95 } = ofRounds(perRound);
  return {
    over: judged,
    median: middle,
    interval95,
    // With one connection nothing is saturated: what is measured then is how often Envoy is woken.
    ...(load === 'concurrency1' ? {} : { verdict: verdict(interval95, budget) }),
    perRound,
    quartiles: [0.25, 0.75].map((share) => quantile(perRound, share)),
    // What else runs on the machine only ever adds: the rounds that it disturbed least.
    ofLowerQuartiles: round(quantile(cpu('ours'), 0.25) / quantile(cpu(judged), 0.25), 3),
  };
}

import { describe, expect, it } from 'vitest';
import { impactOf } from '../../src/impact/impact.ts';
import { Random } from '../../src/snapshot/engine/testing/random.ts';
import { randomChange } from '../support/change-arbitrary.ts';
import { falseAlarms, type Missed, missedBy, pairOf, randomQuestions } from '../support/plan-trial.ts';
import { shrink } from '../support/shrink.ts';

/*
 * What `plan` says of a change against requests that know nothing of it: none may come out differently unless plan said so, and what it
 * says must be so when the changed mesh is compiled from scratch.
 */

const nightly = process.env.OSTRIA_NIGHTLY === '1';
const changes = Number(process.env.OSTRIA_PLAN_CHANGES ?? (nightly ? 200 : 40));
const requests = Number(process.env.OSTRIA_PLAN_REQUESTS ?? (nightly ? 20_000 : 200));
const firstSeed = Number(process.env.OSTRIA_PLAN_FIRST_SEED ?? 1);

/** The smallest change that still surprises with one of the requests, to look at. */
async function smallest(seed: number, { question }: Missed): Promise<string> {
  const small = await shrink(
    randomChange(new Random(seed)),
    async (candidate) => {
      try {
        const pair = pairOf(candidate);
        return missedBy(pair, impactOf(pair.before, pair.after), [question]).missed.length > 0;
      } catch {
        return false;
      }
    },
    {
      tries: 300,
      keep: ['base', 'put', 'remove', 'apiVersion', 'kind', 'metadata', 'name', 'namespace', 'spec'],
    },
  );
  return JSON.stringify(small, null, 1);
}

describe('plan', () => {
  it(`foresees what ${changes} random changes do to ${requests} random requests each`, {
    timeout: 3_600_000,
  }, async () => {
    const sum = { withEffect: 0, announced: 0, alarms: 0, cut: 0, changing: 0 };
    const slowest = { ms: 0, seed: 0 };
    for (let seed = firstSeed; seed < firstSeed + changes; seed++) {
      const random = new Random(seed);
      const pair = pairOf(randomChange(random));
      const begun = performance.now();
      const impact = impactOf(pair.before, pair.after);
      const ms = Math.round(performance.now() - begun);
      if (ms > slowest.ms) Object.assign(slowest, { ms, seed });
      const { missed, changing } = missedBy(pair, impact, randomQuestions(random, pair, requests));
      const [first] = missed;
      if (first)
        expect.fail(
          `seed ${seed}: ${missed.length} requests change unannounced, such as ${JSON.stringify(first)}\nsmallest change: ${await smallest(seed, first)}`,
        );
      sum.alarms += falseAlarms(pair, impact).length;
      sum.announced += impact.changed.length;
      sum.changing += changing;
      if (impact.changed.length > 0) sum.withEffect++;
      if (impact.cuts.length > 0) sum.cut++;
    }
    console.log(JSON.stringify({ firstSeed, changes, requests, ...sum, slowest }));
    expect(sum.announced).toBeGreaterThan(changes);
    expect(sum.changing).toBeGreaterThan(changes);
    expect(sum.alarms).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import { differences } from '../../src/impact/compare.ts';
import { classKey, type Impact, impactOf } from '../../src/impact/impact.ts';
import { createModel, type Model } from '../../src/model/model.ts';
import { idOf } from '../../src/model/model-objects.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { depart, departAsStranger, send } from '../../src/request-space/journey.ts';
import { outcomeOf, type RequestOutcome } from '../../src/request-space/outcome.ts';
import { Random } from '../../src/snapshot/engine/testing/random.ts';
import {
  modelObjects,
  type RandomChange,
  type RandomQuestion,
  randomChange,
  randomQuestion,
  standing,
} from '../support/change-arbitrary.ts';
import { shrink } from '../support/shrink.ts';

/*
 * What `plan` says of a change against requests that know nothing of it: none may come out differently unless plan said so, and what it
 * says must be so when the changed mesh is compiled from scratch.
 */

const nightly = process.env.OSTRIA_NIGHTLY === '1';
const changes = Number(process.env.OSTRIA_PLAN_CHANGES ?? (nightly ? 200 : 8));
const requests = Number(process.env.OSTRIA_PLAN_REQUESTS ?? (nightly ? 20_000 : 200));
const firstSeed = Number(process.env.OSTRIA_PLAN_FIRST_SEED ?? 1);

const kinds = createBuiltInRegistry();

function isAdmitted(object: ConfigObject): boolean {
  const [group = '', version = ''] = object.apiVersion.split('/');
  const known = kinds.byKind(group, object.kind);
  const found = known && kinds.byResource(group, version, known.plural);
  if (!found) return false;
  const verdict = admitSchema({ ...found, object, old: undefined });
  const issues = [...verdict.issues, ...(found.kind.validate?.(verdict.object) ?? [])];
  return !issues.some(({ severity }) => severity === 'error');
}

interface Pair {
  readonly before: Model;
  readonly after: Model;
  /** The mesh after the change, made of nothing but its objects. */
  readonly fresh: Model;
}

function pairOf({ base, put, remove }: RandomChange): Pair {
  const kept = base.filter(isAdmitted);
  const gone = new Set(remove.flatMap((at) => base[at] ?? []));
  const before = createModel(modelObjects([...standing(), ...kept]), { roots: roots.collections });
  const ids = [...gone].filter((object) => kept.includes(object)).map(idOf);
  const change = { objects: modelObjects(put.filter(isAdmitted)), remove: ids };
  const after = before.update(change);
  return { before, after, fresh: createModel([...after.objects.values()], { roots: roots.collections }) };
}

function outcome(model: Model, { from, url, variant }: RandomQuestion): RequestOutcome | undefined {
  const at = model.workloads.get(from);
  const departure = at && depart(model, at, url);
  return departure && outcomeOf(model, send(departure, variant));
}

/** Requests whose outcome changes without a word of the plan. */
function missed({ before, after }: Pair, impact: Impact, questions: readonly RandomQuestion[]): string[] {
  // One model after the other: each compiles its mesh once.
  const old = questions.map((question) => outcome(before, question));
  const now = questions.map((question) => outcome(after, question));
  return questions.flatMap((question, index) => {
    const [first, second] = [old[index], now[index]];
    if (!first || !second) return [];
    const found = differences(first, second);
    if (found.length === 0) return [];
    const key = classKey(first, second);
    const said = impact.changed.some((one) => one.key === key && one.senders.includes(question.from));
    return said ? [] : [JSON.stringify({ question, found, key, cuts: impact.cuts })];
  });
}

/** Announced classes whose witness does not change in meshes that were compiled from scratch. */
function falseAlarms({ before, fresh }: Pair, impact: Impact): string[] {
  return impact.changed
    .filter(({ witness }) => {
      const answers = [before, fresh].map((model) => {
        const at = model.workloads.get(witness.from);
        const [, origin = '', path = '/'] = /^([a-z]+:\/\/[^/]+)(.*)$/.exec(witness.url) ?? [];
        const departure = at && (witness.stranger ? strangerTo(model, witness) : depart(model, at, origin));
        const { method, headers, claims, address } = witness;
        const variant = {
          path,
          method,
          headers,
          ...(claims ? { claims } : {}),
          ...(address ? { address } : {}),
        };
        return departure && outcomeOf(model, send(departure, variant));
      });
      const [first, second] = answers;
      return !first || !second || differences(first, second).length === 0;
    })
    .map(({ witness }) => JSON.stringify(witness));
}

function strangerTo(model: Model, { from, url }: Impact['changed'][number]['witness']) {
  const server = model.workloads.get(from);
  const port = /:8080/.test(url) ? 8001 : 8000;
  return server && departAsStranger(model, server, url.replace(/^([a-z]+:\/\/[^/]+).*/, '$1'), port);
}

function questionsOf(random: Random, { before }: Pair): RandomQuestion[] {
  const from = [...before.workloads.keys()];
  return Array.from({ length: requests }, () => randomQuestion(random, from));
}

describe('plan', () => {
  it(`foresees what ${changes} random changes do to ${requests} random requests each`, {
    timeout: 3_600_000,
  }, async () => {
    let announced = 0;
    let alarms = 0;
    let cut = 0;
    let changed = 0;
    const slowest = { ms: 0, seed: 0 };
    for (let seed = firstSeed; seed < firstSeed + changes; seed++) {
      const random = new Random(seed);
      const change = randomChange(random);
      const pair = pairOf(change);
      const begun = performance.now();
      const impact = impactOf(pair.before, pair.after);
      const ms = performance.now() - begun;
      if (ms > slowest.ms) Object.assign(slowest, { ms, seed });
      const questions = questionsOf(random, pair);
      const surprises = missed(pair, impact, questions);
      if (surprises.length > 0) {
        const [first = ''] = surprises;
        const { question } = JSON.parse(first) as { question: RandomQuestion };
        const small = await shrink(
          change,
          async (candidate) => {
            try {
              const again = pairOf(candidate);
              return missed(again, impactOf(again.before, again.after), [question]).length > 0;
            } catch {
              return false;
            }
          },
          {
            tries: 300,
            keep: ['base', 'put', 'remove', 'apiVersion', 'kind', 'metadata', 'name', 'namespace', 'spec'],
          },
        );
        expect.fail(
          `seed ${seed}: ${surprises.length} requests change unannounced, such as ${first}\nsmallest change: ${JSON.stringify(small, null, 1)}`,
        );
      }
      const wrong = falseAlarms(pair, impact);
      alarms += wrong.length;
      announced += impact.changed.length;
      if (impact.changed.length > 0) changed++;
      if (impact.cuts.length > 0) cut++;
    }
    console.log(JSON.stringify({ changes, requests, withEffect: changed, announced, alarms, cut, slowest }));
    expect(announced).toBeGreaterThan(changes);
    expect(alarms).toBeLessThanOrEqual(0.05 * announced);
  });
});

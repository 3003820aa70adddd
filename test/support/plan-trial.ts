import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import { workloadAt } from '../../src/explain/places.ts';
import { differences } from '../../src/impact/compare.ts';
import { classKey, type Impact } from '../../src/impact/impact.ts';
import { parseIp } from '../../src/kit/ip.ts';
import { createModel, type Model } from '../../src/model/model.ts';
import { idOf } from '../../src/model/model-objects.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { type Departure, depart, departAsStranger, send } from '../../src/request-space/journey.ts';
import { outcomeOf, type RequestOutcome } from '../../src/request-space/outcome.ts';
import type { Random } from '../../src/snapshot/engine/testing/random.ts';
import { modelObjects, type RandomChange, type RandomQuestion, randomRequestOf } from './change-arbitrary.ts';

/*
 * One change put to the test: what `plan` says of it against requests that know nothing of it, and against meshes that are compiled from scratch.
 */

const kinds = createBuiltInRegistry();

function isAdmitted(object: ConfigObject): boolean {
  const [group, version] = object.apiVersion.includes('/')
    ? object.apiVersion.split('/')
    : ['', object.apiVersion];
  const known = kinds.byKind(group ?? '', object.kind);
  const found = known && kinds.byResource(group ?? '', version ?? '', known.plural);
  // Kinds of the platform that the mesh reads and does not hold.
  if (!found) return (group ?? '') === '' || ['apps', 'networking.k8s.io'].includes(group ?? '');
  const verdict = admitSchema({ ...found, object, old: undefined });
  const issues = [...verdict.issues, ...(found.kind.validate?.(verdict.object) ?? [])];
  return !issues.some(({ severity }) => severity === 'error');
}

export interface Pair {
  readonly before: Model;
  readonly after: Model;
  /** The mesh after the change, made of nothing but its objects. */
  readonly fresh: Model;
}

export function pairOf({ base, put, remove }: RandomChange): Pair {
  const kept = base.filter(isAdmitted);
  const gone = new Set(remove.flatMap((at) => base[at] ?? []));
  const before = createModel(modelObjects(kept), { roots: roots.collections });
  const ids = [...gone].filter((object) => kept.includes(object)).map(idOf);
  const after = before.update({ objects: modelObjects(put.filter(isAdmitted)), remove: ids });
  return { before, after, fresh: createModel([...after.objects.values()], { roots: roots.collections }) };
}

export function randomQuestions(random: Random, { before }: Pair, count: number): RandomQuestion[] {
  const workloads = [...before.workloads.values()].map(({ key, workload, proxy }) => ({
    key,
    address: workload.addresses[0] ?? '10.244.0.1',
    gateway: proxy?.type === 'router',
  }));
  return Array.from({ length: count }, () => randomRequestOf(random, workloads));
}

/** Sends requests of one model; whence and whither are looked up once. */
class Sending {
  readonly #model: Model;
  readonly #departures = new Map<string, Departure | undefined>();

  constructor(model: Model) {
    this.#model = model;
  }

  outcome({ from, url, stranger, variant }: RandomQuestion): RequestOutcome | undefined {
    const key = `${from} ${url} ${stranger}`;
    if (!this.#departures.has(key)) this.#departures.set(key, this.#depart(from, url, stranger));
    const departure = this.#departures.get(key);
    return departure && outcomeOf(this.#model, send(departure, variant));
  }

  #depart(from: string, url: string, stranger: number | undefined): Departure | undefined {
    const at = this.#model.workloads.get(from);
    if (!at) return undefined;
    return stranger === undefined
      ? depart(this.#model, at, url)
      : departAsStranger(this.#model, at, url, stranger);
  }
}

export interface Missed {
  readonly question: RandomQuestion;
  readonly found: readonly string[];
  readonly before: RequestOutcome;
  readonly after: RequestOutcome;
}

/** Requests whose outcome changes without a word of the plan, and how many change at all. */
export function missedBy(
  pair: Pair,
  impact: Impact,
  questions: readonly RandomQuestion[],
): { readonly missed: readonly Missed[]; readonly changing: number } {
  const outcomes = bothOutcomes(pair, questions);
  const changing = questions.flatMap((question, index): Missed[] => {
    const [before, after] = outcomes[index] ?? [];
    if (!before || !after) return [];
    const found = differences(before, after);
    if (found.length === 0) return [];
    return [
      {
        question,
        found: found.map(({ what, before: a, after: b }) => `${what}: ${a} -> ${b}`),
        before,
        after,
      },
    ];
  });
  return { missed: changing.filter((one) => !isSaid(pair, impact, one)), changing: changing.length };
}

type Outcomes = readonly [before: RequestOutcome | undefined, after: RequestOutcome | undefined];

/** One model after the other: each compiles its mesh once. */
function bothOutcomes({ before, after }: Pair, questions: readonly RandomQuestion[]): Outcomes[] {
  const [old, now] = [before, after].map((model) => {
    const sending = new Sending(model);
    return questions.map((question) => sending.outcome(question));
  });
  return questions.map((_, index) => [old?.[index], now?.[index]]);
}

/**
 * Whether a request is of a class that the plan has told: decided alike before and after, by the same objects, from the same sender, and, where
 * an address is called, to the same workload.
 */
function isSaid(
  { before: old, after: now }: Pair,
  impact: Impact,
  { question, before, after }: Missed,
): boolean {
  const { from, url, stranger } = question;
  const key = classKey(before, after);
  const told = impact.changed.filter((one) => one.key === key && !one.anyOtherHost);
  const host = /^[a-z]+:\/\/([^/:]+)/.exec(url)?.[1] ?? '';
  // With a Host of its own: told as such of senders whose sidecar comes or goes.
  if (stranger === undefined && question.variant.host !== undefined)
    if (impact.changed.some((one) => one.anyOtherHost && one.senders.includes(from))) return true;
  const owners =
    stranger === undefined
      ? [old, now].flatMap((model) => workloadAt(model, `${host}:1`)?.key ?? [])
      : [from];
  // By name, or by an address that is a service's or nobody's.
  if (stranger === undefined && (!parseIp(host) || owners.length === 0))
    return told.some(
      ({ witness, senders, places }) =>
        witness.strangerPort === undefined &&
        senders.includes(from) &&
        (!parseIp(host) || places.length === 0),
    );
  // Whose own proxy has no say calls an address as anyone does, and a gateway's as a client outside does.
  const anyone =
    stranger !== undefined || [old, now].every((model) => model.workloads.get(from)?.proxy === undefined);
  return told.some(({ witness, senders, places }) =>
    anyone
      ? (witness.strangerPort !== undefined && owners.some((owner) => places.includes(owner))) ||
        (witness.outside && owners.some((owner) => senders.includes(owner)))
      : senders.includes(from) && owners.some((owner) => places.includes(owner)),
  );
}

/** Announced classes whose witness does not change in meshes that were compiled from scratch. */
export function falseAlarms({ before, fresh }: Pair, impact: Impact): string[] {
  const [first, second] = [before, fresh].map((model) =>
    impact.changed.map(({ witness }) => witnessed(model, witness)),
  );
  return impact.changed
    .filter((_, index) => {
      const [was, is] = [first?.[index], second?.[index]];
      return !was || !is || differences(was, is).length === 0;
    })
    .map(({ witness }) => JSON.stringify(witness));
}

type Witness = Impact['changed'][number]['witness'];

function witnessed(model: Model, witness: Witness): RequestOutcome | undefined {
  const at = model.workloads.get(witness.from);
  const [, origin = '', path = '/'] = /^([a-z]+:\/\/[^/?]+)(.*)$/.exec(witness.url) ?? [];
  const host = /^[a-z]+:\/\/([^/:]+)/.exec(origin)?.[1] ?? '';
  const called = parseIp(host) ? host : at;
  const departure =
    witness.strangerPort === undefined
      ? at && depart(model, at, origin)
      : called === undefined
        ? undefined
        : departAsStranger(model, called, origin, witness.strangerPort);
  const { method, headers, host: sent, claims, address } = witness;
  const variant = {
    path,
    method,
    headers,
    ...(sent === undefined ? {} : { host: sent }),
    ...(claims ? { claims } : {}),
    ...(address ? { address } : {}),
  };
  return departure && outcomeOf(model, send(departure, variant));
}

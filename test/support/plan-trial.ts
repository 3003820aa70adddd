import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import { workloadAt } from '../../src/explain/places.ts';
import { resolveTarget } from '../../src/explain/target.ts';
import { type Difference, differences } from '../../src/impact/compare.ts';
import { classKey, type Impact } from '../../src/impact/impact.ts';
import { servedTargets } from '../../src/impact/service-targets.ts';
import { unknownHost, unservedPort } from '../../src/impact/target.ts';
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
  asked: readonly RandomQuestion[],
): { readonly missed: readonly Missed[]; readonly changing: number } {
  const [before, after] = [pair.before, pair.after].map((model) =>
    asked.map((question) => placeIn(model, question)),
  );
  const questions = asked.filter((_, index) => leadsSomewhere(before?.[index], after?.[index]));
  const outcomes = bothOutcomes(pair, questions);
  const said = new Said(pair, impact);
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
  return { missed: changing.filter((one) => !said.of(one)), changing: changing.length };
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

function placeOf(url: string): { readonly host: string; readonly port: number } {
  const [, scheme = '', host = '', port] = /^([a-z]+):\/\/([^/:]+)(?::(\d+))?/.exec(url) ?? [];
  return { host: host.toLowerCase(), port: Number(port ?? (scheme === 'http' ? 80 : 443)) };
}

/** What a question's URL means to its sender in one model. */
interface Place {
  /** Of an address: who has it. */
  readonly server?: string;
  /** Of the name of a service: whether it has the port. */
  readonly hasPort?: boolean;
}

function placeIn(model: Model, { from, url, stranger }: RandomQuestion): Place {
  const at = model.workloads.get(from);
  if (!at || stranger !== undefined) return {};
  const { host, port } = placeOf(url);
  if (at.proxy?.type === 'router')
    return { hasPort: servedTargets(from, model).some((one) => one.port === port) };
  if (parseIp(host)) return { server: workloadAt(model, `${host}:1`)?.key ?? 'nobody' };
  const { service } = resolveTarget(model, host, at.workload.namespace);
  return service ? { hasPort: service.ports.some((one) => one.port === port) } : {};
}

/** Not to an address that was or will be nobody's, nor to a port that a service has neither before nor after. */
function leadsSomewhere(before: Place = {}, after: Place = {}): boolean {
  if (before.server !== after.server) return false;
  const known = [before, after].flatMap(({ hasPort }) => hasPort ?? []);
  return known.length === 0 || known.includes(true);
}

/** What a plan has said. */
class Said {
  readonly #senders = new Map<string, Set<string>>();
  /** Ports of workloads that services name, before or after. */
  readonly #served = new Map<string, Set<number>>();
  readonly #pair: Pair;
  readonly #impact: Impact;

  constructor(pair: Pair, impact: Impact) {
    for (const model of [pair.before, pair.after])
      for (const key of model.workloads.keys()) {
        const ports = this.#served.get(key) ?? new Set();
        for (const { endpointPort } of servedTargets(key, model)) ports.add(endpointPort);
        this.#served.set(key, ports);
      }
    this.#pair = pair;
    this.#impact = impact;
    for (const { key, witness, senders } of impact.changed) {
      const id = `${key} ${witness.strangerPort !== undefined}`;
      this.#senders.set(id, new Set([...(this.#senders.get(id) ?? []), ...senders]));
    }
  }

  of({ question, before, after }: Missed): boolean {
    const id = `${classKey(before, after)} ${question.stranger !== undefined}`;
    if (this.#senders.get(id)?.has(question.from)) return true;
    return (
      this.#byAddress(question, before, after) ||
      this.#asAnyHost(question, before, after) ||
      this.#withoutItsHost(question)
    );
  }

  /** Whoever calls a workload's own address does so as anyone does: in plaintext, without an identity. */
  #byAddress(
    { from, url, stranger }: RandomQuestion,
    before: RequestOutcome,
    after: RequestOutcome,
  ): boolean {
    const { host, port } = placeOf(url);
    const server = stranger === undefined ? workloadAt(this.#pair.before, `${host}:${port}`)?.key : from;
    if (server === undefined || (stranger === undefined && !parseIp(host))) return false;
    const called = stranger ?? port;
    const isServed = this.#served.get(server)?.has(called) === true;
    const whats = whatsOf(differences(before, after));
    return this.#impact.changed.some(
      ({ witness, senders, differences: told }) =>
        (witness.strangerPort === called || (witness.strangerPort === unservedPort && !isServed)) &&
        senders.includes(server) &&
        whatsOf(told) === whats,
    );
  }

  /** An address is a host that the sender's proxy does not know. */
  #asAnyHost(
    { from, url, stranger }: RandomQuestion,
    before: RequestOutcome,
    after: RequestOutcome,
  ): boolean {
    if (stranger !== undefined || !parseIp(placeOf(url).host)) return false;
    const found = differences(before, after).map(({ what }) => what);
    return this.#impact.changed.some(
      ({ witness, senders, differences: told }) =>
        placeOf(witness.url).host === unknownHost &&
        senders.includes(from) &&
        found.every((what) => told.some((one) => one.what === what)),
    );
  }

  /** A Host that nobody knows goes where the URL leads. */
  #withoutItsHost({ variant: { host, ...variant }, ...question }: RandomQuestion): boolean {
    if (host === undefined) return false;
    const asked: RandomQuestion = { ...question, variant };
    const [[before, after] = []] = bothOutcomes(this.#pair, [asked]);
    if (!before || !after || differences(before, after).length === 0) return false;
    return this.of({ question: asked, found: [], before, after });
  }
}

/** Without what only the proxy of a caller has a say in: clusters, rewrites, and the status of a connection that is refused. */
function whatsOf(list: readonly Difference[]): string {
  return list.flatMap(({ what }) => (['cluster', 'request', 'status'].includes(what) ? [] : [what])).join();
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
  const departure =
    at &&
    (witness.strangerPort === undefined
      ? depart(model, at, origin)
      : departAsStranger(model, at, origin, witness.strangerPort));
  const { method, headers, host, claims, address } = witness;
  const variant = {
    path,
    method,
    headers,
    ...(host === undefined ? {} : { host }),
    ...(claims ? { claims } : {}),
    ...(address ? { address } : {}),
  };
  return departure && outcomeOf(model, send(departure, variant));
}

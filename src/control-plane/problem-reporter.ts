import { type KindRegistry, resourceName } from '../config/kind.ts';
import { type ConfigObject, type StatusCondition, splitKey } from '../config/object.ts';
import { parseOriginId } from '../config/origin.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import type { ObjectRef } from '../config/store/store.ts';
import { worldKind } from '../config/world-kind.ts';
import { features } from '../features/index.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { setOrDelete } from '../kit/maps.ts';
import type { PaceOptions } from '../kit/pace.ts';
import { createProblems, decodeProblems, problemsType } from '../pipeline/problems.ts';
import { createStatuses, decodeStatus, statusesType } from '../pipeline/statuses.ts';
import type { Problem } from '../plan/feature.ts';
import type { ObjectStatusPlan } from '../plan/object-status.ts';
import type { MeshConfig } from '../registry/mesh-config.ts';
import { createEngine, type Engine } from '../snapshot/engine/engine.ts';
import type { WorldChange } from '../snapshot/world.ts';
import { Flusher } from './flusher.ts';
import type { CompileTarget } from './mesh-state.ts';
import { observer } from './observer.ts';
import { refOfOrigin } from './origin-ref.ts';
import type { StatusWriter } from './status-writer.ts';

/** The condition that says whether an object can have what it asks for. */
export const acceptedCondition = 'Accepted';

/** Reasons that are others' to take back. */
const foreignReasons: ReadonlySet<string> = new Set(['NotImplemented']);
/** Of notes, which stand on objects that are accepted. */
const noteReasons: ReadonlySet<string> = new Set(['ProtocolAsTcp', 'NotActedOn']);
/** Problems told in one condition; more are counted. */
const toldProblems = 5;
/** Nobody waits for a condition: in a burst of changes the proxies' compile has the machine. */
const unhurried: PaceOptions = { share: 0.05, freeMs: 0, allowanceMs: 100, maxMs: 5_000 };
/** Define queries, so once in a process. */
const problems = createProblems(features);
const statuses = createStatuses(features);
const statusKinds: ReadonlySet<string> = new Set(
  features.flatMap((feature) => feature.statuses ?? []).map(({ kind }) => kind),
);

type Passing = Pick<Problem, 'from' | 'until'>;

function conditionsIn({ conditions = [], lists = {}, shared }: ObjectStatusPlan): readonly Passing[] {
  const entries = [...Object.values(lists).flat(), ...(shared?.entries ?? [])];
  return [...conditions, ...entries.flatMap((entry) => entry.conditions)];
}

/**
 * What objects ask for and cannot have, as conditions on them, and the whole status of kinds whose API asks for one. A compile of its own, with one proxy that stands for nobody: the
 * proxies' compile is not slowed by it, and it runs when that one is done.
 */
export class ProblemReporter implements CompileTarget {
  readonly #engine: Engine;
  readonly #flusher: Flusher;
  readonly #kinds: KindRegistry;
  readonly #writer: StatusWriter;
  readonly #clock: Clock;
  /** Objects that will be looked at again because time alone changes what is to be said of them. */
  readonly #waiting = new Map<string, AbortController>();
  /** Of the objects whose status is ours, as last seen. */
  readonly #generations = new Map<string, number>();

  constructor(
    kinds: KindRegistry,
    writer: StatusWriter,
    onError: (error: unknown) => void,
    clock: Clock = systemClock,
  ) {
    this.#kinds = kinds;
    this.#writer = writer;
    this.#clock = clock;
    this.#engine = createEngine({ roots: [problems, statuses] });
    this.#flusher = new Flusher(this.#engine, onError, { pace: unhurried });
    this.#engine.connect(observer);
    this.#engine.onPush(({ deltas }) => {
      for (const { typeUrl, upserts, removed } of deltas) {
        const report = typeUrl === statusesType ? this.#reportStatus.bind(this) : this.#report.bind(this);
        for (const resource of upserts) report(resource.name);
        for (const name of removed) report(name);
      }
    });
  }

  apply(changes: Iterable<WorldChange>, revision?: number): void {
    this.#engine.apply(changes, revision);
    this.#flusher.request();
  }

  setMesh(mesh: MeshConfig): void {
    this.#engine.setMesh(mesh);
    this.#flusher.request();
  }

  /**
   * Looks at what the store brings: a condition of an earlier run that no longer holds is taken back, and a status that speaks of an
   * earlier generation is written again, though nothing else in it may have changed.
   */
  async observe(changes: readonly ConfigChange[]): Promise<void> {
    const doubtful = changes.filter(({ object }) => object && hasOurCondition(object));
    const judged = changes.filter(({ group, kind }) => statusKinds.has(worldKind(group, kind)));
    for (const { group, kind, key, object } of judged) {
      const id = `${worldKind(group, kind)}|${key}`;
      setOrDelete(this.#generations, id, object?.metadata.generation);
    }
    if (doubtful.length === 0 && judged.length === 0) return;
    await this.#flusher.settled();
    for (const { kind, key } of doubtful) this.#report(`${kind}/${key}`);
    for (const { group, kind, key } of judged) this.#reportStatus(`${worldKind(group, kind)}|${key}`);
  }

  close(): void {
    this.#flusher.close();
    for (const waiting of this.#waiting.values()) waiting.abort();
  }

  #reportStatus(id: string): void {
    const resource = this.#engine.resources(observer.id, statusesType).get(id);
    const ref = resource && this.#refOfStatus(id);
    const plan = ref && decodeStatus(resource);
    if (plan) this.#writer.reportStatus(ref, plan, this.#generations.get(id));
    this.#lookAgain(`status ${id}`, plan ? conditionsIn(plan) : [], () => this.#reportStatus(id));
  }

  /** `group/Kind|namespace/name` */
  #refOfStatus(id: string): ObjectRef | undefined {
    const bar = id.indexOf('|');
    const slash = id.indexOf('/');
    const kind = this.#kinds.byKind(id.slice(0, slash), id.slice(slash + 1, bar));
    const { namespace, name } = splitKey(id.slice(bar + 1));
    return kind && { resource: resourceName(kind), namespace, name };
  }

  #report(id: string): void {
    const origin = parseOriginId(id);
    const ref = origin && refOfOrigin(this.#kinds, origin);
    if (!ref) return;
    const resource = this.#engine.resources(observer.id, problemsType).get(id);
    const all = resource ? decodeProblems(resource) : [];
    const now = this.#clock.now();
    const holding = all.filter((problem) => holds(problem, now));
    this.#writer.report(ref, acceptedCondition, holding.length > 0 ? describe(holding) : null);
    this.#lookAgain(id, all, () => this.#report(id));
  }

  #lookAgain(id: string, passing: readonly Passing[], report: () => void): void {
    const now = this.#clock.now();
    this.#waiting.get(id)?.abort();
    this.#waiting.delete(id);
    const changes = passing.flatMap(({ from, until }) => [from, until]).filter((time) => time !== undefined);
    const next = Math.min(...changes.filter((time) => time > now));
    if (!Number.isFinite(next)) return;
    const waiting = new AbortController();
    this.#waiting.set(id, waiting);
    // A wait that is cut short (timers have a longest) only looks once more.
    void this.#clock.sleep(next - now, { signal: waiting.signal, unref: true }).then(() => {
      if (!waiting.signal.aborted) report();
    });
  }
}

function holds({ from, until }: Problem, now: number): boolean {
  return (from === undefined || now >= from) && (until === undefined || now < until);
}

function describe(problems: ReturnType<typeof decodeProblems>): Omit<StatusCondition, 'type'> {
  const failed = problems.filter(({ note }) => !note);
  const first = failed[0] ?? problems[0];
  const told = [...failed, ...problems.filter(({ note }) => note)]
    .slice(0, toldProblems)
    .map(({ origin, message }) =>
      origin.path !== '' && !message.startsWith(origin.path) ? `${origin.path}: ${message}` : message,
    );
  const more = problems.length > toldProblems ? `; and ${problems.length - toldProblems} more` : '';
  return {
    status: failed.length > 0 ? 'False' : 'True',
    reason: first?.code ?? 'Invalid',
    message: `${told.join('; ')}${more}`.slice(0, 2_000),
  };
}

function hasOurCondition(object: ConfigObject): boolean {
  const conditions = (object.status as { conditions?: StatusCondition[] } | undefined)?.conditions;
  const condition = conditions?.find(({ type }) => type === acceptedCondition);
  if (!condition) return false;
  const reason = condition.reason ?? '';
  return noteReasons.has(reason) || (condition.status === 'False' && !foreignReasons.has(reason));
}

import type { ConfigObject, StatusCondition } from '../config/object.ts';
import type { ObjectRef, Store } from '../config/store/store.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import type { ObjectStatusPlan } from '../plan/object-status.ts';
import { withStatus } from './with-status.ts';

export interface StatusWriterOptions {
  store: Store;
  now?: () => Date;
  /** Pause before a round of writes, so that what belongs together is written once. Milliseconds, default 100. */
  delay?: number;
  onError: (message: string) => void;
}

/** What one owner (the ledger, the compile) has to say of an object: its conditions by type; null takes one back. */
type Wanted = Map<string, StatusCondition | null>;

/** A whole status, and the generation of the object that it speaks of. */
interface WantedStatus {
  readonly plan: ObjectStatusPlan;
  readonly generation: number | undefined;
}

interface Report {
  readonly ref: ObjectRef;
  readonly wanted: Wanted;
  /** Other fields of the status; undefined removes one. */
  readonly fields: Map<string, unknown>;
  status?: WantedStatus;
}

/** An object changes under us at most this often in a row before we give the write up until the next report. */
const maxAttempts = 5;
/** Objects that may wait; beyond, reports are dropped and said to be. */
const maxQueued = 20_000;

/**
 * Writes status conditions to objects of the store. Reports for the same object are merged while they wait; a report that changes
 * nothing writes nothing, so repeated reports cost one read.
 */
export class StatusWriter {
  readonly #options: Required<Omit<StatusWriterOptions, 'store' | 'onError'>> & StatusWriterOptions;
  readonly #queue = new Map<string, Report>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: StatusWriterOptions) {
    this.#options = { now: () => new Date(), delay: 100, ...options };
  }

  /** Asks for a condition on an object; `null` removes the condition of that type. */
  report(ref: ObjectRef, type: string, condition: Omit<StatusCondition, 'type'> | null): void {
    this.#reportOn(ref)?.wanted.set(type, condition === null ? null : { type, ...condition });
  }

  /** Asks for a field of an object's status that is no condition; undefined removes it. */
  set(ref: ObjectRef, field: string, value: unknown): void {
    this.#reportOn(ref)?.fields.set(field, value);
  }

  /** Asks for what is ours of an object's status, as seen of one generation of it. */
  reportStatus(ref: ObjectRef, plan: ObjectStatusPlan, generation: number | undefined): void {
    const report = this.#reportOn(ref);
    if (report) report.status = { plan, generation };
  }

  #reportOn(ref: ObjectRef): Report | undefined {
    if (this.#closed) return undefined;
    const id = `${ref.resource}|${ref.namespace}|${ref.name}`;
    let report = this.#queue.get(id);
    if (!report) {
      if (this.#queue.size >= maxQueued) {
        this.#options.onError(`status of ${id} is not written: ${maxQueued} others wait already`);
        return undefined;
      }
      report = { ref, wanted: new Map(), fields: new Map() };
      this.#queue.set(id, report);
    }
    this.#timer ??= setTimeout(() => this.#round(), this.#options.delay);
    return report;
  }

  /** Resolves when everything reported so far is written. */
  async flush(): Promise<void> {
    if (this.#timer) this.#round();
    await this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#running;
  }

  #round(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = [...this.#queue.values()];
    this.#queue.clear();
    this.#running = this.#running.then(async () => {
      for (const report of batch) await this.#write(report);
    });
  }

  async #write({ ref, wanted, fields, status }: Report): Promise<void> {
    try {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const stored = await this.#options.store.get(ref);
        if (!stored) return;
        const now = this.#options.now();
        const simple = withFields(withConditions(stored.object, wanted, now), fields);
        const object = status ? withStatus(simple, status.plan, status.generation, now) : simple;
        if (object === stored.object) return;
        const result = await this.#options.store.commit([
          { type: 'put', ref, object, expect: stored.revision },
        ]);
        if (result.ok) return;
      }
      this.#options.onError(
        `status of ${ref.resource} ${ref.namespace}/${ref.name}: it changed ${maxAttempts} times while it was written`,
      );
    } catch (error) {
      this.#options.onError(
        `status of ${ref.resource} ${ref.namespace}/${ref.name}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

/** The object with the conditions wanted; the same object where they say so already. */
export function withConditions(object: ConfigObject, wanted: Wanted, now: Date): ConfigObject {
  const status = (object.status ?? {}) as { conditions?: StatusCondition[] };
  const { generation } = object.metadata;
  // The Gateway API has generations within conditions, and routes' and policies' conditions within their entries.
  if (object.apiVersion.startsWith('gateway.networking.k8s.io/')) return withEntries(object, wanted, now);
  const conditions = mergeWanted(status.conditions ?? [], wanted, now, undefined);
  if (!conditions) return object;
  // Istio's conditions know no observedGeneration of their own: it stands beside them.
  return {
    ...object,
    status: {
      ...status,
      conditions,
      ...(generation !== undefined ? { observedGeneration: generation } : {}),
    },
  };
}

interface Entry {
  readonly controllerName?: string;
  readonly conditions?: StatusCondition[];
}

function withEntries(object: ConfigObject, wanted: Wanted, now: Date): ConfigObject {
  const status = (object.status ?? {}) as Record<string, unknown>;
  const { generation } = object.metadata;
  const field = /Route$/.test(object.kind)
    ? 'parents'
    : object.kind === 'BackendTLSPolicy' || object.kind === 'XBackendTrafficPolicy'
      ? 'ancestors'
      : '';
  if (field === '') {
    const conditions = mergeWanted((status.conditions ?? []) as StatusCondition[], wanted, now, generation);
    return conditions ? { ...object, status: { ...status, conditions } } : object;
  }
  let changed = false;
  const entries = ((status[field] ?? []) as Entry[]).map((entry) => {
    const ours = entry.controllerName?.startsWith('istio.io/') === true;
    const conditions = ours ? mergeWanted(entry.conditions ?? [], wanted, now, generation) : undefined;
    changed ||= conditions !== undefined;
    return conditions ? { ...entry, conditions } : entry;
  });
  return changed ? { ...object, status: { ...status, [field]: entries } } : object;
}

/** undefined: they say so already. */
function mergeWanted(
  present: readonly StatusCondition[],
  wanted: Wanted,
  now: Date,
  generation: number | undefined,
): StatusCondition[] | undefined {
  const conditions = [...present];
  let changed = false;
  for (const [type, condition] of wanted) {
    const index = conditions.findIndex((candidate) => candidate.type === type);
    const old = conditions[index];
    if (condition === null) {
      if (index >= 0) conditions.splice(index, 1);
      changed ||= index >= 0;
      continue;
    }
    const next: StatusCondition = {
      ...condition,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime:
        old && old.status === condition.status
          ? (old.lastTransitionTime ?? now.toISOString())
          : now.toISOString(),
    };
    if (old && sameCondition(old, next)) continue;
    if (index >= 0) conditions[index] = next;
    else conditions.push(next);
    changed = true;
  }
  return changed ? conditions : undefined;
}

/** The object with the fields of its status; the same object where it has them already. */
function withFields(object: ConfigObject, fields: ReadonlyMap<string, unknown>): ConfigObject {
  const status = (object.status ?? {}) as Record<string, unknown>;
  const changed = [...fields].filter(([name, value]) => !deepEqual(status[name], value));
  if (changed.length === 0) return object;
  const next = { ...status, ...Object.fromEntries(changed) };
  return {
    ...object,
    status: Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined)),
  };
}

function sameCondition(a: StatusCondition, b: StatusCondition): boolean {
  return a.status === b.status && a.reason === b.reason && a.message === b.message;
}

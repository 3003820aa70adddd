import type { ConfigObject } from '../config/object.ts';
import type { ObjectPositions } from '../config/source-map.ts';
import type { ConfigBatch, ConfigChange } from '../config/sources/source.ts';

/** An object that two sources hold; the earlier source's is in force. */
export interface SourceConflict {
  group: string;
  kind: string;
  key: string;
  winner: string;
  loser: string;
}

/** A change of what is in force, with the object that was before it. */
export interface MergedChange extends ConfigChange {
  readonly previous: ConfigObject | undefined;
}

interface Held {
  object: ConfigObject;
  positions: ObjectPositions | undefined;
}

/**
 * Several config sources as one: the source named first wins where two hold the same object, and the conflict is kept to be shown.
 * Memory: one map entry per object and source; the objects themselves are shared with the compile.
 */
export class ConfigMerge {
  readonly #order: readonly string[];
  /** `group/kind|key` → source → object. */
  readonly #objects = new Map<string, Map<string, Held>>();

  constructor(order: readonly string[]) {
    this.#order = order;
  }

  /** Takes a source's batch; returns the changes of what is in force. */
  take(source: string, batch: ConfigBatch): MergedChange[] {
    const out: MergedChange[] = [];
    for (const change of batch.changes) {
      const id = objectId(change);
      const before = this.#inForce(id);
      this.#put(id, source, change);
      const after = this.#inForce(id);
      if (before?.object === after?.object) continue;
      const previous = before?.object;
      out.push(
        after
          ? { ...change, ...withPositions(after), previous }
          : { group: change.group, kind: change.kind, key: change.key, previous },
      );
    }
    return out;
  }

  get(group: string, kind: string, key: string): ConfigObject | undefined {
    return this.#inForce(`${group}/${kind}|${key}`)?.object;
  }

  positions(group: string, kind: string, key: string): ObjectPositions | undefined {
    return this.#inForce(`${group}/${kind}|${key}`)?.positions;
  }

  /** Every object in force. */
  *all(): IterableIterator<ConfigChange> {
    for (const id of this.#objects.keys()) {
      const held = this.#inForce(id);
      if (held) yield { ...splitId(id), ...withPositions(held) };
    }
  }

  conflicts(): SourceConflict[] {
    const found: SourceConflict[] = [];
    for (const [id, held] of this.#objects) {
      const sources = this.#order.filter((source) => held.has(source));
      for (const loser of sources.slice(1)) found.push({ ...splitId(id), winner: sources[0] ?? '', loser });
    }
    return found;
  }

  #inForce(id: string): Held | undefined {
    const held = this.#objects.get(id);
    if (!held) return undefined;
    for (const source of this.#order) {
      const found = held.get(source);
      if (found) return found;
    }
    return undefined;
  }

  #put(id: string, source: string, change: ConfigChange): void {
    let held = this.#objects.get(id);
    if (change.object) {
      if (!held) {
        held = new Map();
        this.#objects.set(id, held);
      }
      held.set(source, { object: change.object, positions: change.positions });
    } else if (held?.delete(source) && held.size === 0) this.#objects.delete(id);
  }
}

function objectId(change: ConfigChange): string {
  return `${change.group}/${change.kind}|${change.key}`;
}

function splitId(id: string): { group: string; kind: string; key: string } {
  const bar = id.indexOf('|');
  const slash = id.indexOf('/');
  return { group: id.slice(0, slash), kind: id.slice(slash + 1, bar), key: id.slice(bar + 1) };
}

function withPositions(held: Held): { object: ConfigObject; positions?: ObjectPositions } {
  return held.positions ? { object: held.object, positions: held.positions } : { object: held.object };
}

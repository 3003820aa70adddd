import { type Attribute, ofOneUse } from './attribute.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { MeshProxy } from './proxy.ts';
import type { Key } from './query.ts';
import { indexesOf, type World, type WorldChange } from './world.ts';

let nextStep = 1;

/**
 * A change that is tried on some proxies: they see these objects, all others the world's. Whoever reads one of them, or a list that they
 * come into or go out of, depends on whether the proxy takes part: so classes part exactly where the change is read, and nothing else is
 * computed twice. Immutable: other members are another trial.
 */
export class Trial {
  /** Whether a proxy takes part. Every trial has one of its own, since what proxies answer is remembered by attribute. */
  readonly member: Attribute<boolean>;
  readonly changes: readonly WorldChange[];
  readonly #objects = new Map<string, WorldChange>();
  /** `index key` → object → whether it is filed there. */
  readonly #lists = new Map<string, Map<Key, boolean>>();

  /** `world`: as it is when the trial begins. One of its objects that is tried must not change while it lasts. */
  constructor(world: World, changes: readonly WorldChange[], members: ReadonlySet<string>) {
    const step = nextStep++;
    this.member = ofOneUse(`trial ${step}`, (proxy: MeshProxy) => members.has(proxy.id));
    this.changes = changes.map((change) => ({ ...change, value: deepFreeze(change.value, true) }));
    for (const change of this.changes) {
      this.#objects.set(`${change.kind} ${change.key}`, change);
      const before = world.get({ name: change.kind }, change.key);
      for (const index of indexesOf(change.kind)) {
        for (const under of keysOf(index.keysOf, before, change.key))
          this.#file(index.name, under, change.key, false);
        for (const under of keysOf(index.keysOf, change.value, change.key))
          this.#file(index.name, under, change.key, true);
      }
    }
  }

  #file(index: string, under: Key, key: Key, filed: boolean): void {
    const id = `${index} ${under}`;
    const list = this.#lists.get(id) ?? new Map<Key, boolean>();
    list.set(key, filed);
    this.#lists.set(id, list);
  }

  /** The object as members see it; undefined: it is none of those that are tried. */
  object(kind: string, key: Key): WorldChange | undefined {
    return this.#objects.get(`${kind} ${key}`);
  }

  /** The list as members see it; undefined: nothing that is tried concerns it. */
  list(index: string, under: Key, present: readonly Key[]): readonly Key[] | undefined {
    const filed = this.#lists.get(`${index} ${under}`);
    if (!filed) return undefined;
    const kept = present.filter((key) => filed.get(key) !== false);
    const added = [...filed].filter(([key, is]) => is && !kept.includes(key)).map(([key]) => key);
    return Object.freeze(added.length === 0 ? kept : [...kept, ...added].sort());
  }

  /** Every read that answers members something else. */
  concerned(effect: { object(kind: string, key: Key): void; list(index: string, under: Key): void }): void {
    for (const { kind, key } of this.changes) effect.object(kind, key);
    for (const id of this.#lists.keys()) {
      const at = id.indexOf(' ');
      effect.list(id.slice(0, at), id.slice(at + 1));
    }
  }
}

function keysOf(
  index: (object: never, key: Key) => readonly Key[],
  object: unknown,
  key: Key,
): readonly Key[] {
  if (object === undefined) return [];
  try {
    return index(object as never, key);
  } catch {
    // As in the world: filed nowhere.
    return [];
  }
}

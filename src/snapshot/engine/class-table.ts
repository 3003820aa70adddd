import type { Collection, Key } from '../query.ts';
import type { Resource } from '../resource.ts';
import type { Entry } from './entry.ts';
import type { Evaluator } from './evaluator.ts';
import { addLink } from './links.ts';
import type { Mask, Projection, ProxyState } from './masks.ts';
import type { Root, RootClass } from './root-class.ts';

/** The classes of the root collections: which there are, who belongs where, and what they hold on to. */
export class ClassTable {
  readonly roots: readonly Root[];
  /** Classes without members, oldest first. */
  readonly #empty = new Set<RootClass>();
  failuresChanged = false;
  /** Counts the deaths of classes and the types that collections came to make: views over several classes are made anew. */
  epoch = 0;
  readonly #evaluator: Evaluator;
  /** Classes that this round of `compact` has still to look at. */
  readonly #unlooked: RootClass[] = [];
  #nextRoot = 0;

  constructor(collections: readonly Collection<Resource>[], evaluator: Evaluator) {
    this.#evaluator = evaluator;
    this.roots = collections.map((collection, index) => ({
      index,
      collection,
      types: new Set(),
      classes: new Map(),
      masks: new Map(),
      latest: undefined,
      maxClasses: 0,
    }));
  }

  find(root: Root, proxy: ProxyState): RootClass | undefined {
    let found: RootClass | undefined;
    for (const mask of root.masks.keys()) {
      const item = root.classes.get(this.#evaluator.masks.projection(mask, proxy));
      if (item === undefined) continue;
      if (!item.isStale) return item;
      if (found === undefined || found.members.size === 0) found = item;
    }
    return found;
  }

  /** A class whose items a newcomer may share: the latest one, else one of the first few. */
  someClean(root: Root): RootClass | undefined {
    if (root.latest !== undefined && settled(root.latest)) return root.latest;
    let looked = 0;
    for (const item of root.classes.values()) {
      if (settled(item)) return item;
      if (++looked === 16) return undefined;
    }
    return undefined;
  }

  enter(item: RootClass, proxy: ProxyState): void {
    item.addMember(proxy);
    proxy.joined[item.root.index] = item;
    this.#empty.delete(item);
    if (item.failures.size > 0 || item.keysFailure !== undefined) this.failuresChanged = true;
  }

  exit(item: RootClass, proxy: ProxyState): void {
    item.removeMember(proxy);
    item.movedIn.delete(proxy);
    if (item.failures.size > 0 || item.keysFailure !== undefined) this.failuresChanged = true;
    if (item.members.size > 0 || item.dead) return;
    item.emptySince = this.#evaluator.garbage.now;
    this.#empty.delete(item);
    this.#empty.add(item);
  }

  linkItem(item: RootClass, key: Key, entry: Entry): void {
    const old = item.items.get(key);
    if (old === entry) return;
    item.items.set(key, entry);
    this.#link(item, entry);
    if (old !== undefined) this.#evaluator.garbage.unlink(old, item);
  }

  linkKeys(item: RootClass, entry: Entry): void {
    const old = item.keysEntry;
    if (old === entry) return;
    item.keysEntry = entry;
    this.#link(item, entry);
    if (old !== undefined) this.#evaluator.garbage.unlink(old, item);
  }

  #link(item: RootClass, entry: Entry): void {
    entry.parents = addLink(entry.parents, item);
    this.#evaluator.garbage.held(entry);
  }

  /** A collection makes resources of these types. */
  noteTypes(root: Root, typeUrls: Iterable<string>): void {
    for (const typeUrl of typeUrls) {
      if (root.types.has(typeUrl)) continue;
      root.types.add(typeUrl);
      this.epoch++;
    }
  }

  register(item: RootClass, mask: Mask, projection: Projection): RootClass {
    const { root } = item;
    item.mask = mask;
    item.projection = projection;
    root.classes.set(projection, item);
    root.latest = item;
    root.masks.set(mask, (root.masks.get(mask) ?? 0) + 1);
    if (root.classes.size > root.maxClasses) root.maxClasses = root.classes.size;
    this.#evaluator.masks.retain(mask, projection);
    return item;
  }

  unregister(item: RootClass): void {
    const { root, mask, projection } = item;
    if (root.classes.get(projection) !== item) return;
    root.classes.delete(projection);
    const left = (root.masks.get(mask) ?? 1) - 1;
    if (left === 0) root.masks.delete(mask);
    else root.masks.set(mask, left);
    this.#evaluator.masks.release(mask, projection);
  }

  bury(item: RootClass, unlink: (entry: Entry) => void): void {
    item.dead = true;
    if (item.root.latest === item) item.root.latest = undefined;
    this.epoch++;
    this.#empty.delete(item);
    this.unregister(item);
    if (item.keysEntry !== undefined) unlink(item.keysEntry);
    for (const entry of item.items.values()) unlink(entry);
  }

  /**
   * Joins classes that were parted by a fact which no item reads any more; their resources are equal, so nobody is told.
   * Looks at about `budget` items and goes on from there the next time.
   */
  compact(budget: number): void {
    let left = budget;
    for (let looked = 0; left > 0 && (this.#unlooked.length > 0 || looked < this.roots.length); ) {
      const item = this.#unlooked.pop();
      if (item !== undefined) {
        left -= item.items.size + 1;
        this.#narrow(item);
        continue;
      }
      looked++;
      const root = this.roots[this.#nextRoot++ % this.roots.length];
      if (root !== undefined && root.classes.size > 1) this.#unlooked.push(...root.classes.values());
    }
  }

  #narrow(item: RootClass): void {
    const [member] = item.members;
    if (member === undefined || !settled(item)) return;
    const { masks } = this.#evaluator;
    const needed = new Set<Mask>();
    if (item.keysEntry !== undefined) needed.add(item.keysEntry.mask);
    for (const entry of item.items.values()) needed.add(entry.mask);
    const mask = masks.union(needed);
    if (mask === item.mask) return;
    const projection = masks.projection(mask, member);
    const twin = item.root.classes.get(projection);
    if (twin === undefined) {
      this.unregister(item);
      this.register(item, mask, projection);
    } else if (settled(twin)) {
      for (const proxy of [...item.members]) {
        this.exit(item, proxy);
        this.enter(twin, proxy);
        proxy.see(twin);
      }
      this.bury(item, (entry) => this.#evaluator.garbage.unlink(entry, item));
    }
  }

  /** Ends the classes that have been without members since before `before`. */
  collect(before: number): void {
    for (const item of this.#empty) {
      if (item.emptySince > before) break;
      this.bury(item, (entry) => this.#evaluator.garbage.drop(entry, item));
    }
  }
}

/** What it has published is what its items say. */
function settled(item: RootClass): boolean {
  return !item.dead && !item.isStale && item.failures.size === 0 && item.keysFailure === undefined;
}

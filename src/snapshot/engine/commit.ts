import { getOrMake } from '../../kit/maps.ts';
import type { PushDelta } from '../push.ts';
import type { Resource } from '../resource.ts';
import type { ProxyState } from './masks.ts';
import { type RootClass, sameVersion } from './root-class.ts';
import type { Steps } from './roots.ts';

interface Change {
  readonly upserts: readonly Resource[];
  readonly removed: readonly string[];
}

/** By type. */
type Difference = ReadonlyMap<string, Change>;

/** The deltas of a flush: computed from what is published and what is staged, before either is touched. */
export class Commit {
  readonly #moves = new Map<RootClass, Map<RootClass, Difference>>();

  /** Compares the classes between which proxies moved: the costly part, so it may be spread over several steps. */
  *prepare(touched: ReadonlySet<RootClass>): Steps {
    for (const item of touched)
      for (const from of new Set(item.movedIn.values())) {
        this.#difference(from, item);
        yield;
      }
  }

  /** Publishes everything that is staged and says who has to hear what. */
  finish(touched: ReadonlySet<RootClass>): PushDelta[] {
    const deltas: PushDelta[] = [];
    for (const item of touched) {
      this.#tellMoved(item, deltas);
      this.#tellStayed(item, deltas);
    }
    for (const item of touched) {
      for (const proxy of item.movedIn.keys()) proxy.see(item);
      if (item.splitFrom !== undefined) for (const proxy of item.members) proxy.see(item);
      item.publish();
    }
    return deltas;
  }

  #tellMoved(item: RootClass, deltas: PushDelta[]): void {
    const groups = new Map<RootClass, ProxyState[]>();
    for (const [proxy, from] of item.movedIn) getOrMake(groups, from, () => []).push(proxy);
    for (const [from, proxies] of groups) {
      const ids = new Set(proxies.map((proxy) => proxy.proxy.id));
      for (const [typeUrl, change] of this.#difference(from, item))
        deltas.push({ typeUrl, proxies: ids, ...change });
    }
  }

  #tellStayed(item: RootClass, deltas: PushDelta[]): void {
    if (item.members.size === item.movedIn.size || item.staged.size === 0) return;
    let ids = item.ids;
    if (item.movedIn.size > 0) {
      const stayed = [...item.members].filter((proxy) => !item.movedIn.has(proxy));
      ids = new Set(stayed.map((proxy) => proxy.proxy.id));
    }
    for (const [typeUrl, names] of item.staged) {
      const published = item.published.get(typeUrl);
      const change = sorted(
        [...names].map(([name, next]) => ({ name, old: published?.get(name), next: next ?? undefined })),
      );
      if (change !== undefined) deltas.push({ typeUrl, proxies: ids, ...change });
    }
  }

  #difference(from: RootClass, to: RootClass): Difference {
    const known = getOrMake(this.#moves, from, () => new Map<RootClass, Difference>());
    return getOrMake(known, to, () => compare(from, to));
  }
}

/** From what one class has published to what another is about to. */
function compare(from: RootClass, to: RootClass): Difference {
  const result = new Map<string, Change>();
  for (const typeUrl of new Set([...from.published.keys(), ...to.published.keys(), ...to.staged.keys()])) {
    const pairs = [];
    const held = from.published.get(typeUrl);
    const names = new Set([
      ...(held?.keys() ?? []),
      ...(to.published.get(typeUrl)?.keys() ?? []),
      ...(to.staged.get(typeUrl)?.keys() ?? []),
    ]);
    for (const name of names) {
      const old = held?.get(name);
      const next = to.upcoming(typeUrl, name);
      if (old !== next) pairs.push({ name, old, next });
    }
    const change = sorted(pairs);
    if (change !== undefined) result.set(typeUrl, change);
  }
  return result;
}

/** The real changes, by name; undefined when there are none. */
function sorted(
  pairs: { name: string; old: Resource | undefined; next: Resource | undefined }[],
): Change | undefined {
  const upserts: Resource[] = [];
  const removed: string[] = [];
  for (const { name, old, next } of pairs) {
    if (sameVersion(old, next)) continue;
    if (next === undefined) removed.push(name);
    else upserts.push(next);
  }
  if (upserts.length === 0 && removed.length === 0) return undefined;
  upserts.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { upserts, removed: removed.sort() };
}

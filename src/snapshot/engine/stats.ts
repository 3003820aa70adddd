import type { ClassTable } from './class-table.ts';
import type { EngineOptions } from './engine.ts';
import type { Evaluator } from './evaluator.ts';

export interface QueryStats {
  readonly name: string;
  /** Distinct arguments. */
  readonly instances: number;
  readonly entries: number;
  /** The most classes of proxies that one instance told apart since the start. */
  readonly maxClasses: number;
  /** How often it ran since the start. */
  readonly computed: number;
}

export interface CollectionStats {
  readonly name: string;
  readonly classes: number;
  readonly maxClasses: number;
  /** Over all classes. */
  readonly items: number;
}

export interface EngineStats {
  readonly proxies: number;
  readonly entries: number;
  /** Entries that nothing uses, within their grace period. */
  readonly unused: number;
  readonly cells: number;
  readonly facts: number;
  readonly masks: number;
  readonly projections: number;
  readonly queries: readonly QueryStats[];
  readonly collections: readonly CollectionStats[];
  /** Queries and collections that told apart more classes than their bound allows. */
  readonly exceeded: readonly { readonly name: string; readonly classes: number; readonly bound: number }[];
  /** Reused results that were run again (see the option `verify`). */
  readonly verified: number;
}

export function engineStats(
  evaluator: Evaluator,
  classes: ClassTable,
  proxies: number,
  options: EngineOptions,
): EngineStats {
  const queries = [...evaluator.queries.values()].map((state): QueryStats => {
    let entries = 0;
    for (const instance of state.instances.values()) entries += instance.size;
    const { maxClasses, computed } = state;
    return { name: state.query.name, instances: state.instances.size, entries, maxClasses, computed };
  });
  const collections = classes.roots.map((root): CollectionStats => {
    let items = 0;
    for (const item of root.classes.values()) items += item.items.size;
    const { name } = root.collection;
    return { name, classes: root.classes.size, maxClasses: root.maxClasses, items };
  });
  queries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const exceeded = [];
  for (const { name, maxClasses } of [...queries, ...collections]) {
    const bound = options.bounds?.[name] ?? options.defaultBound ?? Number.POSITIVE_INFINITY;
    if (maxClasses > bound) exceeded.push({ name, classes: maxClasses, bound });
  }
  return {
    proxies,
    entries: evaluator.entryCount,
    unused: evaluator.garbage.size,
    cells: evaluator.cells.size,
    ...evaluator.masks.counts(),
    queries,
    collections,
    exceeded,
    verified: evaluator.verification?.checked ?? 0,
  };
}

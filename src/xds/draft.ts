import type { Resource } from '../snapshot/resource.ts';
import type { Trial } from './watch.ts';

/** What the next response of a type holds. */
export interface Draft {
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  /** Virtual hosts that were asked for and do not exist. */
  readonly absent: readonly string[];
  readonly trial: Trial | undefined;
  /** Virtual hosts that answer for the names by which they were asked for; `resources` does not hold them. */
  readonly aliased: ReadonlyMap<Resource, readonly string[]>;
}

const noAliases: ReadonlyMap<Resource, readonly string[]> = new Map();

export function makeDraft(
  resources: readonly Resource[],
  removed: readonly string[] = [],
  absent: readonly string[] = [],
  trial?: Trial,
  aliased = noAliases,
): Draft {
  return { resources, removed, absent, trial, aliased };
}

import type { Resource } from '../snapshot/resource.ts';

/** Bytes decide: equal content has an equal version. */
export function sameResource(a: Resource | undefined, b: Resource | undefined): boolean {
  return a?.version === b?.version && a?.name === b?.name;
}

import type { Key } from '../query.ts';

/** What came and went between two key lists; only what lies between the common start and end is compared. */
export function diffKeys(
  before: readonly Key[],
  after: readonly Key[],
): { removed: readonly Key[]; added: readonly Key[] } {
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const gone = new Set(before.slice(start, before.length - end));
  const come = new Set(after.slice(start, after.length - end));
  const removed = [...gone].filter((key) => !come.has(key));
  const added = [...come].filter((key) => !gone.has(key));
  if (removed.length === 0) return { removed, added };
  // A key that a list names twice may still stand outside the compared part.
  const kept = removed.length < 4 ? undefined : new Set(after);
  return { removed: removed.filter((key) => !(kept?.has(key) ?? after.includes(key))), added };
}

import type { Operation } from './schema.ts';

export interface ListEdit<T> {
  readonly operation: Operation;
  /** Absent for REMOVE. */
  readonly value: T | undefined;
  /** Undefined: the patch names no item. */
  readonly matches: ((item: T) => boolean) | undefined;
  /** Where the named item would be if it were there. */
  readonly absentPlace?: () => number | undefined;
  /** Where ADD, and INSERT_AFTER without a name, put the value. */
  readonly end: (list: readonly T[]) => number;
}

/** The list after one operation; undefined: the operation found nothing to do. The list that was given stays as it is. */
export function editList<T>(list: readonly T[], edit: ListEdit<T>): T[] | undefined {
  const { operation, value, matches } = edit;
  if (operation === 'REMOVE') {
    const kept = matches ? list.filter((item) => !matches(item)) : [...list];
    return kept.length < list.length ? kept : undefined;
  }
  if (value === undefined) return undefined;
  switch (operation) {
    case 'ADD':
      return inserted(list, edit.end(list), value);
    case 'INSERT_FIRST':
      return inserted(list, 0, value);
    case 'INSERT_BEFORE':
    case 'INSERT_AFTER':
      return insertedBeside(list, edit, value);
    case 'REPLACE':
      return matches && list.some(matches) ? replaced(list, matches, value) : undefined;
    default:
      return undefined;
  }
}

function inserted<T>(list: readonly T[], at: number, value: T): T[] {
  return [...list.slice(0, at), value, ...list.slice(at)];
}

function insertedBeside<T>(list: readonly T[], edit: ListEdit<T>, value: T): T[] | undefined {
  const { operation, matches } = edit;
  const before = operation === 'INSERT_BEFORE';
  if (!matches) return inserted(list, before ? 0 : edit.end(list), value);
  // One name may mean several neighbours: before the first of them, after the last.
  const at = before ? list.findIndex(matches) : list.findLastIndex(matches) + 1;
  if (before ? at >= 0 : at > 0) return inserted(list, at, value);
  const place = edit.absentPlace?.();
  return place === undefined ? undefined : inserted(list, place, value);
}

/** The first of the matching items is replaced, further ones that the same name means go. */
function replaced<T>(list: readonly T[], matches: (item: T) => boolean, value: T): T[] {
  const first = list.findIndex(matches);
  return list.flatMap((item, index) => (index === first ? [value] : matches(item) ? [] : [item]));
}

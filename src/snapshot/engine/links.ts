/** Back-references. Most things have one, some a few, and few very many: a set is made only for those. */
export type Links<T extends object> = T | T[] | Set<T> | undefined;

const fewLinks = 8;

export function addLink<T extends object>(links: Links<T>, item: T): Links<T> {
  if (links === undefined || links === item) return item;
  if (links instanceof Set) {
    links.add(item);
    return links;
  }
  if (!Array.isArray(links)) return [links, item];
  if (links.includes(item)) return links;
  if (links.length >= fewLinks) return new Set(links).add(item);
  links.push(item);
  return links;
}

export function removeLink<T extends object>(links: Links<T>, item: T): Links<T> {
  if (links === item) return undefined;
  if (links instanceof Set) {
    links.delete(item);
    return links.size === 0 ? undefined : links;
  }
  if (!Array.isArray(links)) return links;
  const at = links.indexOf(item);
  if (at < 0) return links;
  const last = links.pop();
  if (last !== undefined && last !== item) links[at] = last;
  return links.length === 1 ? links[0] : links;
}

/** `visit` must not change the links. */
export function eachLink<T extends object>(links: Links<T>, visit: (item: T) => void): void {
  if (links instanceof Set || Array.isArray(links)) for (const item of links) visit(item);
  else if (links !== undefined) visit(links);
}

const none: readonly never[] = Object.freeze([]);

/** The items without the room to grow that a pushed array has. */
export function trimmed<T>(items: readonly T[]): readonly T[] {
  return items.length === 0 ? none : items.slice();
}

/**
 * Tells what two lists do not share: additions first, then removals. Only what lies between the common start and end is looked at,
 * because a long list mostly changes in one place. An item that moved may be told as added; never as removed.
 */
export function eachChange<T>(
  old: readonly T[],
  next: readonly T[],
  tell: { added(item: T): void; removed(item: T): void },
): void {
  const shorter = Math.min(old.length, next.length);
  let start = 0;
  while (start < shorter && old[start] === next[start]) start++;
  if (start === old.length && start === next.length) return;
  let end = 0;
  while (end < shorter - start && old[old.length - 1 - end] === next[next.length - 1 - end]) end++;
  for (let i = start; i < next.length - end; i++) tell.added(next[i] as T);
  const gone = old.length - end - start;
  if (gone <= 0) return;
  const kept = gone > 4 ? new Set(next) : undefined;
  for (let i = start; i < old.length - end; i++) {
    const item = old[i] as T;
    if (!(kept?.has(item) ?? next.includes(item))) tell.removed(item);
  }
}

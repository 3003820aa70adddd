/** Back-references: most things have one, so a set is made for the second only. */
export type Links<T extends object> = T | Set<T> | undefined;

export function addLink<T extends object>(links: Links<T>, item: T): Links<T> {
  if (links === undefined || links === item) return item;
  if (links instanceof Set) {
    links.add(item);
    return links;
  }
  return new Set([links, item]);
}

export function removeLink<T extends object>(links: Links<T>, item: T): Links<T> {
  if (links === item) return undefined;
  if (!(links instanceof Set)) return links;
  links.delete(item);
  return links.size === 0 ? undefined : links;
}

export function eachLink<T extends object>(links: Links<T>, visit: (item: T) => void): void {
  if (links instanceof Set) for (const item of links) visit(item);
  else if (links !== undefined) visit(links);
}

const none: readonly never[] = Object.freeze([]);

/** Distinct items in the order of their first addition; a set beside the array once it is long. */
export class Distinct<T> {
  #items: T[] | undefined;
  #set: Set<T> | undefined;

  get items(): readonly T[] {
    return this.#items ?? none;
  }

  /** The items without the room to grow that the array has. */
  trimmed(): readonly T[] {
    const items = this.#items;
    return items === undefined ? none : items.length === 1 ? items : items.slice();
  }

  add(item: T): void {
    if (this.#items === undefined) this.#items = [item];
    else if (this.#set === undefined) {
      if (this.#items.includes(item)) return;
      this.#items.push(item);
      if (this.#items.length > 16) this.#set = new Set(this.#items);
    } else if (!this.#set.has(item)) {
      this.#set.add(item);
      this.#items.push(item);
    }
  }
}

export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

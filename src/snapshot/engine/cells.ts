import { getOrMake } from '../../kit/maps.ts';
import type { Key } from '../query.ts';
import type { Entry } from './entry.ts';
import { addLink, type Links, removeLink } from './links.ts';

/** One recorded read of the world: an object (absent ones too), a list, or a mesh-wide field. Kept while an entry read it. */
export class Cell {
  readonly home: Map<Key, Cell>;
  readonly key: Key;
  readers: Links<Entry>;
  /** The last computation that read it. */
  readBy = 0;

  constructor(home: Map<Key, Cell>, key: Key) {
    this.home = home;
    this.key = key;
  }

  addReader(entry: Entry): void {
    this.readers = addLink(this.readers, entry);
  }
}

export type Space = 'object' | 'list' | 'mesh';

const newHome = () => new Map<Key, Cell>();

export class CellTable {
  readonly #homes: Readonly<Record<Space, Map<string, Map<Key, Cell>>>> = {
    object: new Map(),
    list: new Map(),
    mesh: new Map(),
  };
  readonly #unread = new Set<Cell>();

  /** The cell of a read, made when it is the first. */
  at(space: Space, name: string, key: Key): Cell {
    const home = getOrMake(this.#homes[space], name, newHome);
    let cell = home.get(key);
    if (cell === undefined) {
      cell = new Cell(home, key);
      home.set(key, cell);
    }
    return cell;
  }

  find(space: Space, name: string, key: Key): Cell | undefined {
    return this.#homes[space].get(name)?.get(key);
  }

  removeReader(cell: Cell, entry: Entry): void {
    cell.readers = removeLink(cell.readers, entry);
    this.release(cell);
  }

  /**
   * A cell that nobody reads is dropped at the next sweep, not at once: a computation that is still running may have read it
   * and links itself only when it ends.
   */
  release(cell: Cell): void {
    if (cell.readers === undefined) this.#unread.add(cell);
  }

  sweep(): void {
    for (const cell of this.#unread) if (cell.readers === undefined) cell.home.delete(cell.key);
    this.#unread.clear();
  }

  get size(): number {
    let size = 0;
    for (const homes of Object.values(this.#homes)) for (const home of homes.values()) size += home.size;
    return size;
  }
}

import { type FSWatcher, watch } from 'node:fs';
import { messageOf } from '../../kit/coded-error.ts';

/** More directories than this are left to the rescan: inotify watches are a shared, limited resource. */
const mostWatches = 1000;

/**
 * Watches a set of directories, each for itself. Not one recursive watch: that follows no links, and a mounted ConfigMap
 * is all links.
 */
export class DirectoryWatch {
  readonly #watchers = new Map<string, { identity: string; watcher: FSWatcher }>();
  readonly #onChange: () => void;
  /** Why some directory is not watched, for a warning; undefined when all are. */
  failure: string | undefined;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Makes the watched set equal to `directories` (path to identity). True: all of them were watched before. */
  follow(directories: ReadonlyMap<string, string>): boolean {
    for (const [directory, { identity, watcher }] of this.#watchers) {
      if (directories.get(directory) === identity) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    this.failure = undefined;
    let before = true;
    for (const [directory, identity] of directories) {
      if (this.#watchers.has(directory)) continue;
      before = false;
      if (this.#watchers.size >= mostWatches) {
        this.failure = `more than ${mostWatches} directories`;
        break;
      }
      this.#add(directory, identity);
    }
    return before;
  }

  close(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(directory: string, identity: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, this.#onChange);
      watcher.on('error', (error) => {
        this.failure = messageOf(error);
        watcher.close();
        this.#watchers.delete(directory);
        this.#onChange();
      });
      this.#watchers.set(directory, { identity, watcher });
    } catch (error) {
      this.failure = messageOf(error);
    }
  }
}

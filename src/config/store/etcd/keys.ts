import type { ListPosition } from '../continue-token.ts';
import type { ObjectRef } from '../store.ts';
import { keyRef, refKey } from '../stored-value.ts';

/**
 * Objects are kept under `<prefix>/objects/<resource>/<namespace>/<name>`. Each commit also writes `<prefix>/head`: its
 * revision is that of the newest commit, which objects cannot tell where the newest commit deleted some.
 */
export class EtcdKeys {
  /** Objects and head: what is watched, [root, rootEnd). */
  readonly root: string;
  readonly rootEnd: string;
  readonly head: string;
  readonly #objects: string;

  constructor(prefix: string) {
    this.root = `${prefix.replace(/\/+$/, '')}/`;
    this.rootEnd = afterPrefix(this.root);
    this.head = `${this.root}head`;
    this.#objects = `${this.root}objects/`;
  }

  key(ref: ObjectRef): string {
    return `${this.#objects}${ref.resource}/${refKey(ref)}`;
  }

  /** Undefined for keys that are no objects. */
  ref(key: string): ObjectRef | undefined {
    if (!key.startsWith(this.#objects)) return undefined;
    const [resource, namespace, name, ...more] = key.slice(this.#objects.length).split('/');
    if (!resource || namespace === undefined || !name || more.length > 0) return undefined;
    return keyRef(resource, `${namespace}/${name}`);
  }

  /** The keys of a list, [from, to), after `after`. */
  range(
    resource: string | undefined,
    namespace: string | undefined,
    after: ListPosition | undefined,
  ): [string, string] {
    let prefix = this.#objects;
    if (resource !== undefined) prefix += `${resource}/`;
    if (namespace !== undefined) prefix += `${namespace}/`;
    const from = after === undefined ? prefix : `${this.#objects}${after.resource}/${after.key}\0`;
    return [from, afterPrefix(prefix)];
  }
}

/** The first key after all that begin with `prefix`, which ends with a slash: 0 follows / in ASCII. */
function afterPrefix(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}

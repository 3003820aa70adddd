import type { ConfigObject } from '../../object.ts';
import { decodeObject } from '../stored-value.ts';
import type { KeyValue } from './wire.ts';

/** Entries remembered; each is a few words where the object itself is not in use. */
const mostEntries = 20_000;

/**
 * Objects by key and revision: what a list, an event and the next event's previous state have in common is parsed once and
 * shared, as long as anybody holds it.
 */
export class DecodedObjects {
  readonly #objects = new Map<string, { revision: number; object: WeakRef<ConfigObject> }>();

  decode(kv: KeyValue): ConfigObject {
    const known = this.#objects.get(kv.key);
    if (known?.revision === kv.modRevision) {
      const object = known.object.deref();
      if (object) return object;
    }
    const object = decodeObject(kv.value, kv.modRevision);
    if (known && known.revision > kv.modRevision) return object;
    this.#objects.delete(kv.key);
    this.#objects.set(kv.key, { revision: kv.modRevision, object: new WeakRef(object) });
    if (this.#objects.size > mostEntries) {
      for (const oldest of this.#objects.keys()) {
        this.#objects.delete(oldest);
        break;
      }
    }
    return object;
  }
}

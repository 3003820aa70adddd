import { holdsLabels } from '../kit/labels.ts';
import { getOrMake, removeFromSet } from '../kit/maps.ts';

type Selector = Readonly<Record<string, string>>;

/** The other way round than LabelIndex: finds, by the labels of one thing, who in its namespace selects it, without scanning all of them. */
export class SelectorIndex {
  readonly #selectors = new Map<string, Selector>();
  readonly #placeOf = new Map<string, string>();
  /** `namespace|key=value` of one pair of each selector → keys. */
  readonly #byPair = new Map<string, Set<string>>();

  /** A selector that is absent or empty selects nothing, as in a Service. */
  set(key: string, namespace: string, selector: Selector | undefined): void {
    this.delete(key);
    const [name] = Object.keys(selector ?? {}).sort();
    if (selector === undefined || name === undefined) return;
    const place = `${namespace}|${name}=${selector[name]}`;
    this.#selectors.set(key, selector);
    this.#placeOf.set(key, place);
    getOrMake(this.#byPair, place, () => new Set<string>()).add(key);
  }

  delete(key: string): void {
    const place = this.#placeOf.get(key);
    if (place === undefined) return;
    removeFromSet(this.#byPair, place, key);
    this.#selectors.delete(key);
    this.#placeOf.delete(key);
  }

  /** Keys whose selector the labels hold. */
  *selecting(namespace: string, labels: Selector): Generator<string> {
    for (const name in labels)
      for (const key of this.#byPair.get(`${namespace}|${name}=${labels[name]}`) ?? [])
        if (holdsLabels(labels, this.#selectors.get(key) ?? {})) yield key;
  }
}

import { holdsLabels } from '../kit/labels.ts';
import { getOrMake, removeFromSet } from '../kit/maps.ts';

/** Finds labelled things of one namespace by selector without scanning all of them. */
export class LabelIndex {
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();
  readonly #namespaceOf = new Map<string, string>();
  /** `namespace|key=value` → keys. */
  readonly #byPair = new Map<string, Set<string>>();

  set(key: string, namespace: string, labels: Readonly<Record<string, string>>): void {
    this.delete(key);
    this.#labels.set(key, labels);
    this.#namespaceOf.set(key, namespace);
    for (const name in labels) {
      const pair = `${namespace}|${name}=${labels[name]}`;
      getOrMake(this.#byPair, pair, () => new Set<string>()).add(key);
    }
  }

  delete(key: string): void {
    const labels = this.#labels.get(key);
    if (!labels) return;
    const namespace = this.#namespaceOf.get(key) ?? '';
    for (const name in labels) removeFromSet(this.#byPair, `${namespace}|${name}=${labels[name]}`, key);
    this.#labels.delete(key);
    this.#namespaceOf.delete(key);
  }

  labels(key: string): Readonly<Record<string, string>> | undefined {
    return this.#labels.get(key);
  }

  /** Keys whose labels hold every pair of a non-empty selector; the empty selector selects nothing, as in a Service. */
  select(namespace: string, selector: Readonly<Record<string, string>>): string[] {
    let smallest: Set<string> | undefined;
    for (const name in selector) {
      const keys = this.#byPair.get(`${namespace}|${name}=${selector[name]}`);
      if (!keys) return [];
      if (!smallest || keys.size < smallest.size) smallest = keys;
    }
    if (!smallest) return [];
    const found: string[] = [];
    for (const key of smallest) {
      const labels = this.#labels.get(key);
      if (labels && holdsLabels(labels, selector)) found.push(key);
    }
    return found;
  }
}

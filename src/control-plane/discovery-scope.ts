import { splitKey } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { type LabelSelector, selectsLabels } from '../kit/labels.ts';

type Labels = Readonly<Record<string, string>>;

/**
 * MeshConfig.discoverySelectors: the mesh is made of the objects of namespaces that one of them selects, and of the root namespace.
 * Without selectors, of everything. A namespace that comes into or goes out of the selection brings or takes all that it holds.
 */
export class DiscoveryScope {
  readonly #rootNamespace: string;
  readonly #all: () => Iterable<ConfigChange>;
  readonly #labels = new Map<string, Labels>();
  #selectors: readonly LabelSelector[] = [];

  /** `all`: every object in force, for namespaces that change sides. */
  constructor(rootNamespace: string, all: () => Iterable<ConfigChange>) {
    this.#rootNamespace = rootNamespace;
    this.#all = all;
  }

  /** The part of the changes that concerns the mesh. */
  take(changes: readonly ConfigChange[]): readonly ConfigChange[] {
    const turned = new Map<string, boolean>();
    for (const { group, kind, key, object } of changes) {
      if (kind !== 'Namespace' || group !== '') continue;
      const { name } = splitKey(key);
      const before = this.#holds(name);
      if (object) this.#labels.set(name, object.metadata.labels ?? {});
      else this.#labels.delete(name);
      const after = this.#holds(name);
      if (before !== after) turned.set(name, after);
      else turned.delete(name);
    }
    if (this.#selectors.length === 0) return changes;
    const own = changes.filter(({ key, object }) => !object || this.#holds(splitKey(key).namespace));
    return turned.size === 0 ? own : [...own, ...this.#moved(turned)];
  }

  /** Takes new selectors; returns what comes and goes by them. */
  setSelectors(selectors: readonly LabelSelector[]): ConfigChange[] {
    const namespaces = new Set([...this.#all()].map(({ key }) => splitKey(key).namespace));
    const before = new Map([...namespaces].map((namespace) => [namespace, this.#holds(namespace)]));
    this.#selectors = selectors;
    const turned = [...before].flatMap(([namespace, held]): [string, boolean][] => {
      const holds = this.#holds(namespace);
      return holds === held ? [] : [[namespace, holds]];
    });
    return this.#moved(new Map(turned));
  }

  #holds(namespace: string): boolean {
    if (this.#selectors.length === 0 || namespace === '' || namespace === this.#rootNamespace) return true;
    const labels = this.#labels.get(namespace) ?? {};
    return this.#selectors.some((selector) => selectsLabels(selector, labels));
  }

  #moved(turned: ReadonlyMap<string, boolean>): ConfigChange[] {
    if (turned.size === 0) return [];
    return [...this.#all()].flatMap((change): ConfigChange[] => {
      const holds = turned.get(splitKey(change.key).namespace);
      if (holds === undefined) return [];
      const { group, kind, key } = change;
      return [holds ? change : { group, kind, key }];
    });
  }
}

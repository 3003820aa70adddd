import { getOrMake } from '../kit/maps.ts';
import type { Collection, Key } from './query.ts';
import { attempt, type Evaluation } from './rebuild.ts';
import type { Resource } from './resource.ts';

/**
 * A proxy's resources, made when they are asked for: one by name where its key is its name, collection by collection otherwise. What `rebuild`
 * makes, without what nobody looks at. `evaluation` is asked before each piece of work, and answers with the same one in the same state.
 */
export class OnDemandResources {
  readonly #collections: readonly Collection<Resource>[];
  readonly #evaluation: () => Evaluation;
  readonly #keys = new Map<Collection<Resource>, ReadonlySet<Key>>();
  readonly #whole = new Map<Collection<Resource>, readonly Resource[]>();
  readonly #byType = new Map<string, ReadonlyMap<string, Resource>>();

  constructor(collections: readonly Collection<Resource>[], evaluation: () => Evaluation) {
    this.#collections = collections;
    this.#evaluation = evaluation;
  }

  /** The resource of a type and name. Names of a type are unique, so the collections that cost least are asked first. */
  find(typeUrl: string, name: string): Resource | undefined {
    const known = this.#byType.get(typeUrl);
    if (known) return known.get(name);
    const collections = this.#of(typeUrl);
    const isMeant = (one: Resource | undefined) => one?.typeUrl === typeUrl && one.name === name;
    for (const collection of collections) {
      if (!this.#keysOf(collection).has(name)) continue;
      const made = this.#item(collection, name);
      if (isMeant(made)) return made;
    }
    const fewestFirst = [...collections].sort((a, b) => this.#keysOf(a).size - this.#keysOf(b).size);
    for (const collection of fewestFirst) {
      const made = this.#all(collection).find(isMeant);
      if (made) return made;
    }
    return undefined;
  }

  /** All resources of a type, by name. Of two with one name the first stands: first by collection, then by key. */
  all(typeUrl: string): ReadonlyMap<string, Resource> {
    return getOrMake(this.#byType, typeUrl, () => {
      const made = new Map<string, Resource>();
      for (const collection of this.#of(typeUrl))
        for (const resource of this.#all(collection))
          if (resource.typeUrl === typeUrl && !made.has(resource.name)) made.set(resource.name, resource);
      return made;
    });
  }

  #of(typeUrl: string): readonly Collection<Resource>[] {
    return this.#collections.filter((one) => one.typeUrl === undefined || one.typeUrl === typeUrl);
  }

  #all(collection: Collection<Resource>): readonly Resource[] {
    return getOrMake(this.#whole, collection, () =>
      [...this.#keysOf(collection)].flatMap((key) => this.#item(collection, key) ?? []),
    );
  }

  /** Sorted; empty where listing them fails, as an item that fails is absent. */
  #keysOf(collection: Collection<Resource>): ReadonlySet<Key> {
    return getOrMake(this.#keys, collection, () => {
      const listed = attempt(() => this.#evaluation().call(collection.keys, []));
      return new Set(listed.ok ? [...listed.value].sort() : []);
    });
  }

  #item(collection: Collection<Resource>, key: Key): Resource | undefined {
    const made = attempt(() => this.#evaluation().call(collection.item, [key]));
    return made.ok ? made.value : undefined;
  }
}

/** The resources of one type as a map: `get` and `has` make one alone, everything else makes all. */
export class OnDemandMap implements ReadonlyMap<string, Resource> {
  readonly #resources: OnDemandResources;
  readonly #typeUrl: string;

  constructor(resources: OnDemandResources, typeUrl: string) {
    this.#resources = resources;
    this.#typeUrl = typeUrl;
  }

  get(name: string): Resource | undefined {
    return this.#resources.find(this.#typeUrl, name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  get size(): number {
    return this.#all().size;
  }

  keys(): MapIterator<string> {
    return this.#all().keys();
  }

  values(): MapIterator<Resource> {
    return this.#all().values();
  }

  entries(): MapIterator<[string, Resource]> {
    return this.#all().entries();
  }

  [Symbol.iterator](): MapIterator<[string, Resource]> {
    return this.entries();
  }

  forEach(run: (value: Resource, key: string, map: ReadonlyMap<string, Resource>) => void): void {
    for (const [name, resource] of this.#all()) run(resource, name, this);
  }

  #all(): ReadonlyMap<string, Resource> {
    return this.#resources.all(this.#typeUrl);
  }
}

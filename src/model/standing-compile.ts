import type { ConfigObject } from '../config/object.ts';
import { usageChanges, usageIdentity } from '../plan/lazy.ts';
import type { MeshConfig } from '../registry/mesh-config.ts';
import { Registry } from '../registry/registry.ts';
import { DecodedResources } from '../simulate/decoded-resources.ts';
import { createEngine, type Engine } from '../snapshot/engine/engine.ts';
import { OnDemandMap, OnDemandResources } from '../snapshot/on-demand.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { Push } from '../snapshot/push.ts';
import type { Collection } from '../snapshot/query.ts';
import { Evaluation } from '../snapshot/rebuild.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import type { World } from '../snapshot/world.ts';
import { worldChanges } from './for-compile.ts';
import { changesBetween, WorldReader } from './world-reader.ts';

/** What a model is made of, to the compile. */
export interface CompileInput {
  readonly objects: ReadonlyMap<string, ConfigObject>;
  readonly mesh: MeshConfig;
}

const shown = [
  typeUrls.listener,
  typeUrls.cluster,
  typeUrls.endpoints,
  typeUrls.route,
  typeUrls.virtualHost,
  typeUrls.secret,
  typeUrls.extension,
];

/**
 * One incremental compile for a family of models. It stands at one of them at a time and moves to another by their difference, so
 * that a change costs what it costs the control plane, forth and back. What was handed out of a model's resources stays as it is.
 */
export class StandingCompile {
  readonly #roots: readonly Collection<Resource>[];
  readonly #engine: Engine;
  readonly #registry: Registry;
  #at: CompileInput | undefined;
  #reader: WorldReader | undefined;
  /** Of connected proxies, as of where the compile stands. */
  readonly #decoded = new Map<string, DecodedResources>();
  /** Identities whose lazy proxies have everything. */
  readonly #loaded = new Set<string>();
  /** Copies of the engine's live maps: proxies of a class share them. */
  #copies = new WeakMap<ReadonlyMap<string, Resource>, ReadonlyMap<string, Resource>>();
  #sets = new Map<ReadonlyMap<string, Resource>, DecodedResources[]>();

  constructor(roots: readonly Collection<Resource>[], mesh: MeshConfig) {
    this.#roots = roots;
    this.#engine = createEngine({ roots });
    this.#registry = new Registry({ mesh });
    this.#engine.onPush((push) => this.#forget(push));
  }

  /** The world of an input: valid until another is asked about. */
  world(input: CompileInput): World {
    // Where proxies are connected, each move brings all of them up to date: readers have a world of their own.
    if (this.#at !== input && this.#engine.proxies.size > 0) {
      this.#reader ??= new WorldReader(input.mesh);
      return this.#reader.of(input);
    }
    this.#moveTo(input);
    return this.#engine.world;
  }

  resources(input: CompileInput, proxy: MeshProxy): DecodedResources {
    this.#moveTo(input);
    const known = this.#decoded.get(proxy.id);
    if (known && this.#engine.proxies.get(proxy.id) === proxy) return known;
    if (this.#engine.proxies.get(proxy.id) !== proxy) this.#connect(proxy);
    const made = this.#read(proxy.id);
    this.#decoded.set(proxy.id, made);
    return made;
  }

  /** The same resources, of which only those are made that are looked at: for who asks once. */
  resourcesOnDemand(input: CompileInput, proxy: MeshProxy): DecodedResources {
    this.#moveTo(input);
    const evaluation = new Evaluation(this.#engine.world, input.mesh, proxy);
    const resources = new OnDemandResources(this.#roots, () => {
      this.#moveTo(input);
      this.#load(proxy);
      return evaluation;
    });
    return new DecodedResources(
      new Map(shown.map((typeUrl) => [typeUrl, new OnDemandMap(resources, typeUrl)])),
    );
  }

  #connect(proxy: MeshProxy): void {
    this.#load(proxy);
    this.#engine.connect(proxy);
  }

  /** A lazy proxy answers as one that has loaded everything: its first request waits until what it needs is there. */
  #load(proxy: MeshProxy): void {
    const key = usageIdentity(proxy);
    if (!this.#loaded.has(key)) {
      this.#loaded.add(key);
      this.#engine.apply(usageChanges(key, { hosts: [], unknown: [], full: true }));
      this.#engine.flush();
    }
  }

  #read(id: string): DecodedResources {
    const copies = shown.map(
      (typeUrl) => [typeUrl, this.#copy(this.#engine.resources(id, typeUrl))] as const,
    );
    const first = copies[0]?.[1] as ReadonlyMap<string, Resource>;
    const siblings = this.#sets.get(first) ?? [];
    const same = siblings.find(({ set }) => copies.every(([typeUrl, copy]) => set.get(typeUrl) === copy));
    if (same) return same;
    const made = new DecodedResources(new Map(copies));
    this.#sets.set(first, [...siblings, made]);
    return made;
  }

  #copy(live: ReadonlyMap<string, Resource>): ReadonlyMap<string, Resource> {
    let copy = this.#copies.get(live);
    if (!copy) {
      copy = new Map(live);
      this.#copies.set(live, copy);
    }
    return copy;
  }

  #forget({ deltas }: Push): void {
    for (const { proxies, typeUrl } of deltas)
      for (const id of proxies) {
        this.#decoded.delete(id);
        this.#copies.delete(this.#engine.resources(id, typeUrl));
      }
    this.#sets = new Map();
  }

  #moveTo(input: CompileInput): void {
    if (this.#at === input) return;
    const before = this.#at;
    const changes = changesBetween(before, input);
    if (before?.mesh !== input.mesh) {
      this.#engine.setMesh(input.mesh);
      this.#engine.apply(this.#registry.setMesh(input.mesh));
    }
    this.#engine.apply(worldChanges(changes));
    this.#engine.apply(this.#registry.apply(changes));
    this.#at = input;
    this.#engine.flush();
  }
}

import type { Attribute } from './attribute.ts';
import type { Key, Query } from './query.ts';
import type { Index, KindToken } from './world.ts';

/**
 * What a query sees: the mesh on behalf of one proxy. Every read is recorded, of what is absent too.
 * A view throws after its query returned (no reads across an `await`). What it returns is frozen; never mutate it.
 */
export interface View {
  /** The object under `key` (`namespace/name`) of a kind, or undefined. */
  get<T>(kind: KindToken<T>, key: Key): T | undefined;
  /** The sorted keys of the objects that an index files under `key`. */
  list(index: Index, key: Key): readonly Key[];
  /** One field of the mesh-wide configuration. Each field is its own dependency. */
  mesh<F extends keyof MeshFields>(field: F): MeshFields[F];
  /** An attribute of the asking proxy. Read globals first and attributes only when a candidate exists: each read splits classes. */
  attribute<T extends string | number | boolean | undefined>(attribute: Attribute<T>): T;
  /** Whether the asking proxy's labels satisfy the selector (the empty one matches). Cheaper for classes than reading labels. */
  matches(selector: Readonly<Record<string, string>>): boolean;
  /** The memoised result of another query. */
  call<A extends readonly Key[], T>(query: Query<A, T>, ...args: A): T;
}

/** Mesh-wide settings: MeshConfig with its defaults filled in. See registry/mesh-config.ts for the defaults. */
export type MeshFields = import('../registry/mesh-config.ts').MeshConfig;

import type { MeshProxy } from './proxy.ts';
import type { Resource } from './resource.ts';

/**
 * What changed for one set of proxies that share a result (a class). The arrays are shared by all of them: encode once; both are
 * sorted by name. A push may hold several deltas of one type for a proxy, from different collections: their names are disjoint.
 */
export interface PushDelta {
  readonly typeUrl: string;
  /** Ids of the proxies concerned. */
  readonly proxies: ReadonlySet<string>;
  readonly upserts: readonly Resource[];
  readonly removed: readonly string[];
}

/** Everything that one flush changed, to be delivered in the safe order per proxy. */
export interface Push {
  /** The configuration revision that the mesh has reached. */
  readonly revision: number;
  readonly deltas: readonly PushDelta[];
}

/** A query that threw while resources were made for some proxies; their last good resources stay in force. */
export interface CompileFailure {
  readonly query: string;
  readonly args: readonly string[];
  readonly error: unknown;
  readonly proxies: ReadonlySet<string>;
}

/** What the xDS server needs of the compile: implemented by the incremental engine (snapshot/engine.ts). */
export interface ResourceSource {
  /** Registers a proxy; its resources are available when this returns. Replaces an earlier one of the same id. */
  connect(proxy: MeshProxy): void;
  /**
   * Does beforehand, in slices, what `connect` of such a proxy would have to compute: `connect` is right without it, and quick
   * after it. Undefined: there is nothing to do.
   */
  prepare?(proxy: MeshProxy): Promise<void> | undefined;
  disconnect(proxyId: string): void;
  /**
   * Names that a proxy asks for one by one, because it does not hold everything that it may use. Resolves, once what they stand
   * for is part of its resources, with the resource behind each name; names that stand for nothing are not in it. Undefined: the
   * proxy is not of that sort, its resources are all there is.
   */
  demand?(
    proxyId: string,
    typeUrl: string,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, string>> | undefined;
  /** The proxy's present resources of a type, by name. A stable, shared view: valid until the next push. Empty for unknown proxies. */
  resources(proxyId: string, typeUrl: string): ReadonlyMap<string, Resource>;
  /** Calls back after each flush that changed something. Returns the unsubscribe function. */
  onPush(listener: (push: Push) => void): () => void;
  /** The configuration revision up to which pushes have been made. */
  readonly revision: number;
}

import type { ConfigObject } from '../../object.ts';
import type { ObjectRef } from '../../store/store.ts';

export interface GraphNode {
  ref: ObjectRef;
  uid: string;
  apiVersion: string;
  kind: string;
  owners: readonly { uid: string; apiVersion: string; kind: string; name: string; blocks: boolean }[];
  deleting: boolean;
  finalizers: readonly string[];
}

/** Who owns whom, by uid, and what a namespace holds. Kept from the store's events; holds no object. */
export class ObjectGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();
  readonly #uids = new Map<string, string>();

  clear(): void {
    this.#nodes.clear();
    this.#dependents.clear();
    this.#uids.clear();
  }

  set(ref: ObjectRef, object: ConfigObject): GraphNode | undefined {
    const { uid, ownerReferences = [], finalizers = [], deletionTimestamp } = object.metadata;
    if (uid === undefined) return undefined;
    this.delete(ref);
    const node: GraphNode = {
      ref,
      uid,
      apiVersion: object.apiVersion,
      kind: object.kind,
      owners: ownerReferences.map((owner) => ({
        uid: owner.uid,
        apiVersion: owner.apiVersion,
        kind: owner.kind,
        name: owner.name,
        blocks: owner.blockOwnerDeletion === true,
      })),
      deleting: deletionTimestamp !== undefined,
      finalizers,
    };
    this.#nodes.set(uid, node);
    this.#uids.set(refKey(ref), uid);
    for (const owner of node.owners) {
      const dependents = this.#dependents.get(owner.uid) ?? new Set<string>();
      this.#dependents.set(owner.uid, dependents);
      dependents.add(uid);
    }
    return node;
  }

  /** The node that was there. */
  delete(ref: ObjectRef): GraphNode | undefined {
    const uid = this.#uids.get(refKey(ref));
    const node = uid === undefined ? undefined : this.#nodes.get(uid);
    if (uid === undefined || !node) return undefined;
    this.#uids.delete(refKey(ref));
    this.#nodes.delete(uid);
    for (const owner of node.owners) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
    return node;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    const found: GraphNode[] = [];
    for (const dependent of this.#dependents.get(uid) ?? []) {
      const node = this.#nodes.get(dependent);
      if (node) found.push(node);
    }
    return found;
  }

  all(): Iterable<GraphNode> {
    return this.#nodes.values();
  }
}

export function refKey(ref: ObjectRef): string {
  return `${ref.resource}/${ref.namespace}/${ref.name}`;
}

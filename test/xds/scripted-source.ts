import { createHash } from 'node:crypto';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import type { Push, PushDelta, ResourceSource } from '../../src/snapshot/push.ts';
import type { Resource, ResourceHints } from '../../src/snapshot/resource.ts';

export function makeResource(
  typeUrl: string,
  name: string,
  bytes: Uint8Array | string,
  hints?: ResourceHints,
): Resource {
  const encoded = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  const version = createHash('sha256').update(encoded).digest('hex').slice(0, 16);
  const origins = [{ kind: 'Test', namespace: 'default', name, path: '' }];
  return { typeUrl, name, version, bytes: encoded, origins, ...(hints ? { hints } : {}) };
}

export interface Edit {
  readonly upserts?: readonly Resource[];
  /** type URL → names. */
  readonly removed?: Readonly<Record<string, readonly string[]>>;
}

/** A source under the test's hand: every proxy has the same resources, and an edit is a push at once. */
export class ScriptedSource implements ResourceSource {
  readonly proxies = new Map<string, MeshProxy>();
  readonly #resources = new Map<string, Map<string, Resource>>();
  readonly #listeners = new Set<(push: Push) => void>();
  revision = 1;

  constructor(resources: readonly Resource[] = []) {
    for (const resource of resources) this.#typed(resource.typeUrl).set(resource.name, resource);
  }

  #typed(typeUrl: string): Map<string, Resource> {
    let map = this.#resources.get(typeUrl);
    if (!map) {
      map = new Map();
      this.#resources.set(typeUrl, map);
    }
    return map;
  }

  connect(proxy: MeshProxy): void {
    this.proxies.set(proxy.id, proxy);
  }

  disconnect(proxyId: string): void {
    this.proxies.delete(proxyId);
  }

  resources(_proxyId: string, typeUrl: string): ReadonlyMap<string, Resource> {
    return this.#typed(typeUrl);
  }

  onPush(listener: (push: Push) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  edit(edit: Edit): number {
    const byType = new Map<string, { upserts: Resource[]; removed: string[] }>();
    const typed = (typeUrl: string): { upserts: Resource[]; removed: string[] } => {
      const known = byType.get(typeUrl) ?? { upserts: [], removed: [] };
      byType.set(typeUrl, known);
      return known;
    };
    for (const resource of edit.upserts ?? []) {
      this.#typed(resource.typeUrl).set(resource.name, resource);
      typed(resource.typeUrl).upserts.push(resource);
    }
    for (const [typeUrl, names] of Object.entries(edit.removed ?? {}))
      for (const name of names) if (this.#typed(typeUrl).delete(name)) typed(typeUrl).removed.push(name);
    this.revision++;
    const proxies = new Set(this.proxies.keys());
    const deltas: PushDelta[] = [...byType].map(([typeUrl, change]) => ({ typeUrl, proxies, ...change }));
    const push: Push = { revision: this.revision, deltas };
    for (const listener of this.#listeners) listener(push);
    return this.revision;
  }
}

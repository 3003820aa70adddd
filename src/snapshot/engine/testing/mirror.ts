import type { Push } from '../../push.ts';
import type { Resource } from '../../resource.ts';
import type { Engine } from '../engine.ts';

/** What a client would hold: filled at connection, then kept by deltas alone. */
export class Mirror {
  readonly held = new Map<string, Map<string, Map<string, Resource>>>();
  readonly #engine: Engine;
  readonly #types: readonly string[];
  deltas = 0;

  constructor(engine: Engine, types: readonly string[]) {
    this.#engine = engine;
    this.#types = types;
    engine.onPush((push) => this.#replay(push));
  }

  connected(proxyId: string): void {
    const byType = new Map<string, Map<string, Resource>>();
    for (const type of this.#types) byType.set(type, new Map(this.#engine.resources(proxyId, type)));
    this.held.set(proxyId, byType);
  }

  disconnected(proxyId: string): void {
    this.held.delete(proxyId);
  }

  #replay(push: Push): void {
    for (const { typeUrl, proxies, upserts, removed } of push.deltas) {
      this.deltas++;
      if (upserts.length + removed.length === 0) throw new Error('an empty delta was pushed');
      for (const id of proxies) {
        const names = this.held.get(id)?.get(typeUrl);
        if (names === undefined) throw new Error(`a delta of ${typeUrl} for ${id}, which is not connected`);
        for (const name of removed)
          if (!names.delete(name))
            throw new Error(`${id} was told to remove ${name}, which it does not hold`);
        for (const resource of upserts) {
          if (names.get(resource.name)?.version === resource.version)
            throw new Error(`${id} was sent ${resource.name} at the version that it holds`);
          names.set(resource.name, resource);
        }
      }
    }
  }
}

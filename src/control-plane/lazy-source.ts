import { findAsked } from '../pipeline/on-demand.ts';
import { usageChanges, usageIdentity } from '../plan/lazy.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import { inspect } from '../snapshot/rebuild.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { LazyMemory } from './lazy-memory.ts';

/** Names that a request may wait for; more are what a client that comes back holds, and no work for one turn of the event loop. */
const mostAtOnce = 8;

/** Makes a change and resolves when it is pushed. `isSmall`: it may be done at once, without letting other work run between. */
export type PushDemand = (change: () => void, isSmall: boolean) => Promise<void>;

/**
 * The engine as a source for sidecars that load what they need: what one asks for becomes part of the world, and the compile gives
 * it to every workload of the identity.
 */
export function lazySource(engine: Engine, memory: LazyMemory, push: PushDemand): ResourceSource {
  const apply = (identities: readonly string[]): void =>
    engine.apply(identities.flatMap((identity) => usageChanges(identity, memory.usage(identity))));
  apply(memory.identities());
  const isConnected = (identity: string): boolean =>
    [...engine.proxies.values()].some((proxy) => usageIdentity(proxy) === identity);
  return {
    connect: (proxy) => engine.connect(proxy),
    prepare: (proxy) => engine.prepare?.(proxy),
    disconnect: (id) => engine.disconnect(id),
    resources: (id, typeUrl) => engine.resources(id, typeUrl),
    onPush: (listener) => engine.onPush(listener),
    get revision() {
      return engine.revision;
    },
    demand(proxyId, typeUrl, names) {
      const proxy = engine.proxies.get(proxyId);
      const asked = proxy && askedBy(engine, proxy, typeUrl, names);
      if (!asked) return undefined;
      const changed = memory.note(usageIdentity(proxy), asked.hosts, asked.unknown, isConnected);
      if (changed.length === 0) return Promise.resolve(asked.resources);
      return push(() => apply(changed), names.length <= mostAtOnce).then(() => asked.resources);
    },
  };
}

interface Asked {
  readonly hosts: readonly string[];
  readonly unknown: readonly string[];
  /** Names that stand for something → the resource. */
  readonly resources: ReadonlyMap<string, string>;
}

/** undefined: the proxy is not lazy. */
function askedBy(
  engine: Engine,
  proxy: MeshProxy,
  typeUrl: string,
  names: readonly string[],
): Asked | undefined {
  const hosts = new Set<string>();
  const unknown = new Set<string>();
  const resources = new Map<string, string>();
  for (const name of names) {
    const found = inspect(engine.world, engine.world.mesh, proxy, (view) => findAsked(view, typeUrl, name));
    if (!found) return undefined;
    if (found.host !== undefined) hosts.add(found.host);
    if (found.resource === undefined) continue;
    resources.set(name, found.resource);
    if (found.host === undefined && typeUrl === typeUrls.virtualHost) unknown.add(found.resource);
  }
  return { hosts: [...hosts], unknown: [...unknown], resources };
}

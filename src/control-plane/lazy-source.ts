import { setImmediate as immediate } from 'node:timers/promises';
import { askedResource } from '../pipeline/on-demand.ts';
import { isLazy, type UsageStage, usageChanges, usageIdentity, usageStages } from '../plan/lazy.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { LazyMemory } from './lazy-memory.ts';

/** Names that a request may wait for; more are what a client that comes back holds, and no work for one turn of the event loop. */
const mostAtOnce = 8;

/** Who pushes what was asked for. */
export interface DemandPush {
  /** Makes a change and resolves when it is pushed. `isSmall`: it may be done at once, without letting other work run between. */
  push(change: () => void, isSmall: boolean): Promise<void>;
  /** Nothing else is under way: a small change is pushed before `push` returns. */
  readonly isIdle: boolean;
}

/**
 * The engine as a source for sidecars that load what they need: what one asks for becomes part of the world, and the compile gives
 * it to every workload of the identity. Clusters and endpoints go out first where nothing else is under way: Envoy takes as long to set
 * them up as the virtual hosts take to be made.
 */
export function lazySource(engine: Engine, memory: LazyMemory, pusher: DemandPush): ResourceSource {
  const apply = (identities: readonly string[], stages?: readonly UsageStage[]): void =>
    engine.apply(identities.flatMap((identity) => usageChanges(identity, memory.usage(identity), stages)));
  apply(memory.identities());
  const underWay = new Map<string, Promise<void>>();
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
      const asked = proxy && askedBy(engine, proxyId, typeUrl, names);
      if (!asked) return undefined;
      const identity = usageIdentity(proxy);
      const changed = memory.note(identity, asked, isConnected);
      // Another name of the host, or another workload, asked for it a moment ago: what it stands for may not be there yet.
      if (changed.length === 0)
        return underWay.get(identity)?.then(() => asked.resources) ?? Promise.resolve(asked.resources);
      const isSmall = names.length <= mostAtOnce;
      const inStages = isSmall && asked.hosts.length > 0 && pusher.isIdle;
      const clusters = pusher.push(() => apply(changed, inStages ? ['clusters'] : usageStages), isSmall);
      const all = inStages
        ? clusters.then(written).then(() => pusher.push(() => apply(changed, ['routes']), true))
        : clusters;
      const forget = (): void => {
        if (underWay.get(identity) === done) underWay.delete(identity);
      };
      const done: Promise<void> = all.then(forget, forget);
      underWay.set(identity, done);
      return (typeUrl === typeUrls.cluster ? clusters : done).then(() => asked.resources);
    },
  };
}

/** Resolves when responses that were made before are with the kernel: streams write in the next turn of the event loop, HTTP/2 in the one after. */
async function written(): Promise<void> {
  await immediate();
  await immediate();
}

interface Asked {
  readonly hosts: readonly string[];
  readonly unknown: readonly string[];
  /** Names that no host can have. */
  readonly invalid: readonly string[];
  /** Names that stand for something → the resource. */
  readonly resources: ReadonlyMap<string, string>;
}

/** undefined: the proxy is not lazy. */
function askedBy(
  engine: Engine,
  proxyId: string,
  typeUrl: string,
  names: readonly string[],
): Asked | undefined {
  if (!engine.ask(proxyId, isLazy)) return undefined;
  const hosts = new Set<string>();
  const unknown = new Set<string>();
  const invalid: string[] = [];
  const resources = new Map<string, string>();
  for (const name of names) {
    const found = engine.ask(proxyId, askedResource, typeUrl, name) ?? {};
    if (found.host !== undefined) hosts.add(found.host);
    else if (found.unknown !== undefined) unknown.add(found.unknown);
    else if (typeUrl === typeUrls.virtualHost) invalid.push(name);
    if (found.resource !== undefined) resources.set(name, found.resource);
  }
  return { hosts: [...hosts], unknown: [...unknown], invalid, resources };
}

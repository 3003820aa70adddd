import { workloadAt } from '../explain/places.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { inboundPorts } from '../request-space/surroundings.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { listenerIndex } from './listener-facts.ts';
import { everyPort, type Target, unservedPort } from './target.ts';

/** Addresses of workloads that take what comes in alike, before and after: one of them stands for all. */
export interface PlaceClass {
  /** One of the addresses. */
  readonly address: string;
  /** Who lives at them, `namespace/name`. */
  readonly workloads: readonly string[];
  /** Ports that their proxies tell apart. */
  readonly ports: () => ReadonlySet<number>;
  /** They take what comes in otherwise than before, or are somebody else's. */
  readonly changed: boolean;
}

/**
 * Every address that is a workload's before or after, but for those that several share. `distinct`: addresses that proxies of senders
 * know by themselves.
 */
export function placeClasses(before: Model, after: Model, distinct: ReadonlySet<string>): PlaceClass[] {
  const addresses = new Set(
    [before, after].flatMap(({ workloads }) =>
      [...workloads.values()].flatMap(({ workload, proxy }) => (proxy?.explicit ? [] : workload.addresses)),
    ),
  );
  const groups = new Map<string, PlaceClass & { readonly workloads: string[] }>();
  for (const address of addresses) {
    const sides = [before, after].map((model) => sideOf(model, address));
    const [old, now] = sides;
    if (!old?.at && !now?.at) continue;
    const moved = old?.at?.key !== now?.at?.key;
    const changed = moved || old?.judge !== now?.judge;
    const key = [old?.judge, now?.judge, moved, distinct.has(address) ? address : ''].join('|');
    const workloads = [...new Set(sides.flatMap(({ at }) => at?.key ?? []))];
    const group = groups.get(key);
    if (group) group.workloads.push(...workloads);
    else
      groups.set(key, {
        address,
        workloads,
        ports: () => new Set(sides.flatMap(({ ports }) => [...ports()])),
        changed,
      });
  }
  return [...groups.values()];
}

/** Somebody else is taken to be at `address:port` than before: workloads may say that they share one. */
export function isMoved(before: Model, after: Model, socket: string): boolean {
  return workloadAt(before, socket)?.key !== workloadAt(after, socket)?.key;
}

interface PlaceSide {
  readonly at: ModelWorkload | undefined;
  /** Changes whenever what is made of incoming calls does. */
  readonly judge: string;
  readonly ports: () => ReadonlySet<number>;
}

function sideOf(model: Model, address: string): PlaceSide {
  const at = workloadAt(model, `${address}:${unservedPort}`);
  const { proxy } = at ?? {};
  if (!at || !proxy || proxy.explicit) return { at, judge: at ? 'none' : 'nobody', ports: () => noPorts };
  const resources = model.resources(proxy);
  if (proxy.type === 'router') {
    const ports = () => new Set(listenerIndex(resources).all.map(({ port }) => port));
    const versions = [...resources.set.values()].flatMap((ofType) =>
      [...ofType.values()].map(({ version }) => version),
    );
    return { at, judge: `${at.key} ${versions.join()}`, ports };
  }
  const version = resources.set.get(typeUrls.listener)?.get('virtualInbound')?.version;
  return { at, judge: `sidecar ${version}`, ports: () => inboundPorts(resources) };
}

const noPorts: ReadonlySet<number> = new Set();

/** Calls to the addresses of a class, by each port that they or `ports` tell apart, and by any other. */
export function placeTargets({ address, ports: own }: PlaceClass, ports: Iterable<number>): Target[] {
  return everyPort(address, [...own(), ...ports, unservedPort]);
}

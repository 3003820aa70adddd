import { getOrMake } from '../kit/maps.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { inboundPassthroughCluster } from '../plan/names.ts';
import type { Sender } from '../request-space/senders.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';

/**
 * Senders of one namespace whose proxies hold the same for what goes out, before and after: whatever they call, they differ by who they
 * are alone.
 */
export interface SenderClass {
  /** Stands for all where it does not matter who asks. */
  readonly first: Sender;
  readonly senders: readonly Sender[];
}

export function senderClasses(before: Model, after: Model, senders: readonly Sender[]): SenderClass[] {
  const outbound = new OutboundKeys();
  const groups = Map.groupBy(senders, ({ at }) => {
    const sides = [before, after].map((model) => model.workloads.get(at.key));
    return sides.map((side, index) => ownWay(index === 0 ? before : after, side, outbound)).join('|');
  });
  return [...groups.values()].flatMap((members) => {
    const [first] = members;
    return first ? [{ first, senders: members }] : [];
  });
}

function ownWay(model: Model, at: ModelWorkload | undefined, outbound: OutboundKeys): string {
  const { proxy, workload } = at ?? {};
  if (!proxy) return `${workload?.namespace} past`;
  // What a gateway listens on, and what ports stand for in explicit capture, is its own.
  if (proxy.type === 'router' || proxy.explicit) return `own ${at?.key}`;
  return `${workload?.namespace} ${outbound.of(model.resources(proxy))}`;
}

/** Tells what proxies hold for what goes out apart: equal resources are one object to all that hold them. */
class OutboundKeys {
  readonly #byMap = new Map<ReadonlyMap<string, Resource>, string>();
  readonly #ids = new Map<Resource, number>();

  of({ set }: DecodedResources): string {
    return [...set]
      .map(([typeUrl, resources]) => getOrMake(this.#byMap, resources, () => this.#keyOf(typeUrl, resources)))
      .join(' ');
  }

  /** Sums, since maps of equal resources need not be in one order. */
  #keyOf(typeUrl: string, resources: ReadonlyMap<string, Resource>): string {
    let [count, one, other] = [0, 0, 0];
    for (const [name, resource] of resources) {
      if (isInbound(typeUrl, name)) continue;
      const id = getOrMake(this.#ids, resource, () => this.#ids.size + 1);
      count++;
      one = (one + mixed(id, 0x9e3779b1)) >>> 0;
      other = (other + mixed(id, 0x85ebca77)) >>> 0;
    }
    return `${count}.${one}.${other}`;
  }
}

function mixed(id: number, factor: number): number {
  let value = Math.imul(id, factor);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39);
  return (value ^ (value >>> 15)) >>> 0;
}

function isInbound(typeUrl: string, name: string): boolean {
  if (typeUrl === typeUrls.listener) return name === 'virtualInbound';
  return (
    (typeUrl === typeUrls.cluster || typeUrl === typeUrls.endpoints) &&
    (name.startsWith('inbound|') || name === inboundPassthroughCluster)
  );
}

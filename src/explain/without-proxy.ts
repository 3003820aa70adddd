import type { Model } from '../model/model.ts';
import type { Endpoint } from '../registry/service.ts';
import { endpointsKind } from '../snapshot/kinds.ts';
import type { Start } from './first-hop.ts';
import { type Following, follow, outside } from './follow.ts';
import { type Hop, socketText, splitSocket } from './hop.ts';
import type { Leaf } from './leaf.ts';
import { workloadAt } from './places.ts';
import type { Target } from './target.ts';

/** How a request begins that no proxy of its caller's takes. */
export type Unproxied = Pick<Start, 'target' | 'address' | 'port' | 'call'>;

/**
 * No proxy of the caller's has a say: the network takes the connection to any endpoint of the service, or where its address leads; the
 * proxy of whoever lives there still judges it.
 */
export function withoutProxy(following: Following, start: Unproxied, port: number): Leaf[] {
  const listed = endpointsOf(following.model, start.target);
  const endpoints = listed.filter(({ servicePort, healthy }) => servicePort === port && healthy);
  const sockets =
    endpoints.length > 0
      ? firstOfEach(endpoints).map(({ address, port: own }) => socketText(address, own))
      : [socketText(start.address, start.port)];
  return sockets.flatMap((socket, index) =>
    toSocket(following, start, socket, index === 0).map((leaf) => ({
      ...leaf,
      percent: leaf.percent / sockets.length,
    })),
  );
}

const known = new WeakMap<Target, readonly Endpoint[]>();

/** Looked up once for a target: of several requests to it, the first asks for the model's world. */
function endpointsOf(model: Model, target: Target): readonly Endpoint[] {
  let found = known.get(target);
  if (!found) {
    const { service, looked, address } = target;
    // The address of one endpoint leads to that one.
    const isOfService = service && (looked === 'service' || service.addresses.includes(address));
    found = isOfService
      ? (model.world.get(endpointsKind, `${service.namespace}/${service.hostname}`)?.endpoints ?? [])
      : [];
    known.set(target, found);
  }
  return found;
}

/** One endpoint of each workload. */
function firstOfEach(endpoints: readonly Endpoint[]): Endpoint[] {
  const groups = Map.groupBy(
    endpoints,
    ({ controller, workload, address }) => controller ?? (workload || address),
  );
  return [...groups.values()].flatMap(([first]) => first ?? []);
}

function toSocket(following: Following, { call }: Unproxied, socket: string, told: boolean): Leaf[] {
  const at = workloadAt(following.model, socket);
  if (!at) return [outside('', socket)];
  const leaf = { percent: 100, cluster: '', address: socket, workload: at.key };
  if (!at.proxy)
    return [{ ...leaf, end: { outcome: 'delivered', reason: 'the application answers', flags: [] } }];
  const { destination: _, ...rest } = call;
  const hop: Hop = {
    at,
    proxy: at.proxy,
    role: at.proxy.type === 'router' ? 'gateway' : 'server',
    call: {
      ...rest,
      ...splitSocket(socket),
      mode: at.proxy.explicit || at.proxy.type === 'router' ? 'direct' : 'inbound',
    },
  };
  return follow(following, hop, 1, told).map((end) => ({ ...end, address: socket }));
}

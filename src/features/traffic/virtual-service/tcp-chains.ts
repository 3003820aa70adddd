import type { Origin } from '../../../config/origin.ts';
import { getOrMake } from '../../../kit/maps.ts';
import { type ConnectionCondition, intersect, mostSpecific } from '../../../plan/first-match.ts';
import {
  type ChainMatch,
  type FilterChainPlan,
  filterChainPlan,
  type TcpChain,
} from '../../../plan/listener-plan.ts';
import { outboundCluster } from '../../../plan/names.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import type { View } from '../../../snapshot/view.ts';
import { type ConnectionTarget, connectionRoutes } from './connections.ts';

/** A service port as connections ask for it. */
export interface ServicePortTarget extends ConnectionTarget {
  readonly origin: Origin;
  /** What the port's protocol adds to every chain. */
  readonly chain: Partial<TcpChain>;
}

/** Where some connections go. */
interface TcpTarget {
  readonly name: string;
  readonly destinations: readonly Destination[];
  readonly origin: Origin;
  /** What the port's protocol adds to the chain. */
  readonly chain: Partial<TcpChain>;
}

type ConditionedTarget = readonly [condition: ConnectionCondition, target: TcpTarget];

/** Connections to a service port that meet one of `bases`: by the routes of its virtual service, in order, else to the service itself. */
function tcpTargets(
  view: View,
  target: ServicePortTarget,
  bases: readonly ConnectionCondition[],
): ConditionedTarget[] {
  const { host, port, origin, chain } = target;
  const cluster = outboundCluster(port, '', host);
  const made = new Map<readonly Destination[], TcpTarget>();
  const to = (destinations: readonly Destination[]): TcpTarget =>
    getOrMake(made, destinations, () => ({
      name: cluster,
      destinations,
      origin: destinations[0]?.origin ?? origin,
      chain,
    }));
  const routed = connectionRoutes(view, target).flatMap(({ condition, destinations }) => {
    const routedTo = to(destinations);
    return bases.flatMap((base): ConditionedTarget[] => {
      const both = intersect(condition, base);
      return both ? [[both, routedTo]] : [];
    });
  });
  const own = to([{ cluster, weight: 1, origin }]);
  return [...routed, ...bases.map((base): ConditionedTarget => [base, own])];
}

/**
 * Filter chains for connections to a service port that meet one of `bases`: by the routes of its virtual service, in order, else to the
 * service itself. The one without a match, if any, is the last.
 */
export function tcpChains(
  view: View,
  port: ServicePortTarget,
  bases: readonly ConnectionCondition[] = [{}],
): FilterChainPlan[] {
  const names = new Map<string, number>();
  const chains = joined(mostSpecific(tcpTargets(view, port, bases))).map(({ match, target }) => {
    const count = names.get(target.name) ?? 0;
    names.set(target.name, count + 1);
    return filterChainPlan({
      name: count === 0 ? target.name : `${target.name}#${count}`,
      match,
      network: {
        type: 'tcp',
        statPrefix: target.name,
        destinations: target.destinations,
        ...target.chain,
        idleTimeoutMs: 0,
      },
      direction: 'outbound',
      origin: target.origin,
    });
  });
  const isOpen = ({ match }: FilterChainPlan): boolean => Object.keys(match).length === 0;
  return [...chains.filter((chain) => !isOpen(chain)), ...chains.filter(isOpen)];
}

interface Joined {
  readonly match: ChainMatch;
  readonly target: TcpTarget;
}

/** Cells of one target that differ in nothing but their server name, or but their destination range, make one chain. */
function joined(cells: readonly ConditionedTarget[]): Joined[] {
  const ids = new Map<TcpTarget, number>();
  const idOf = (target: TcpTarget): number => {
    const id = ids.get(target) ?? ids.size;
    ids.set(target, id);
    return id;
  };
  const byRange = Map.groupBy(
    cells,
    ([{ destination, source }, target]) => `${idOf(target)} ${destination} ${source}`,
  );
  const named = [...byRange.values()].flatMap((group) => {
    const [[{ destination, source }, target]] = group as [ConditionedTarget];
    const open = group.filter(([{ serverName }]) => serverName === undefined);
    const names = group.flatMap(([{ serverName }]) => serverName ?? []).sort();
    return [
      ...(names.length > 0 ? [{ destination, source, target, names }] : []),
      ...(open.length > 0 ? [{ destination, source, target, names: [] }] : []),
    ];
  });
  const byNames = Map.groupBy(named, ({ names, source, target }) => `${idOf(target)} ${names} ${source}`);
  return [...byNames.values()].flatMap((group) => {
    const limited = group.flatMap(({ destination }) => destination ?? []).sort();
    const free = group.some(({ destination }) => destination === undefined);
    const [{ names, source, target }] = group as [(typeof group)[number]];
    const rest = {
      ...(names.length > 0 ? { serverNames: names } : {}),
      ...(source !== undefined ? { sourceRanges: [source] } : {}),
    };
    return [
      ...(limited.length > 0 ? [{ match: { ranges: limited, ...rest }, target }] : []),
      ...(free ? [{ match: rest, target }] : []),
    ];
  });
}

import { splitKey } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { type FilterChainPlan, type TcpOptionsPlan, tcpOptionsSlot } from '../../../plan/listener-plan.ts';
import { parseClusterName } from '../../../plan/names.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import { serviceFor } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { type EffectivePolicy, policyFor } from './policy.ts';
import { destinationRuleFor } from './rules.ts';

/**
 * What rules for the destinations of a TCP chain say of its connections. Envoy has one place for it per chain, not per destination:
 * a part in which weighted destinations differ is left to Envoy's defaults.
 */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  if (chain.network.type !== 'tcp' || chain.direction === 'inbound') return;
  const [first, ...others] = chain.network.destinations.map((destination) => optionsOf(view, destination));
  if (!first) return;
  const common = Object.entries(first.options).filter(([name, value]) =>
    others.every(
      (other) => JSON.stringify(other.options[name as keyof TcpOptionsPlan]) === JSON.stringify(value),
    ),
  );
  if (common.length > 0) fill(chain, tcpOptionsSlot, Object.fromEntries(common), first.origin);
}

interface Found {
  readonly options: TcpOptionsPlan;
  readonly origin: Origin;
}

function optionsOf(view: View, { cluster, origin }: Destination): Found {
  const parsed = parseClusterName(cluster);
  const key = parsed ? view.call(serviceFor, parsed.host) : '';
  if (!parsed || key === '') return { options: {}, origin };
  const rules = view.call(destinationRuleFor, parsed.host, splitKey(key).namespace);
  const found = policyFor(view, rules, String(parsed.port), parsed.subset);
  const options = { ...tcpOptions(found), ...hashOptions(view, key, found) };
  const by = found?.origins;
  return { options, origin: by?.tunnel ?? by?.connectionPool ?? by?.loadBalancer ?? origin };
}

function tcpOptions(found: EffectivePolicy | undefined): TcpOptionsPlan {
  const { connectionPool, tunnel } = found?.policy ?? {};
  const idleTimeoutMs = parseDuration(connectionPool?.tcp?.idleTimeout);
  const maxDurationMs = parseDuration(connectionPool?.tcp?.maxConnectionDuration);
  return {
    ...(idleTimeoutMs !== undefined ? { idleTimeoutMs } : {}),
    ...(maxDurationMs ? { maxDurationMs } : {}),
    ...(tunnel
      ? {
          tunnel: {
            target: `${bracketed(tunnel.targetHost)}:${tunnel.targetPort}`,
            method: tunnel.protocol === 'POST' ? 'POST' : 'CONNECT',
          },
        }
      : {}),
  };
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function hashOptions(view: View, service: string, found: EffectivePolicy | undefined): TcpOptionsPlan {
  const balancer = found?.policy.loadBalancer;
  const byRule = balancer?.consistentHash?.useSourceIp ?? false;
  const chosen =
    balancer?.consistentHash !== undefined || (balancer?.simple ?? 'UNSPECIFIED') !== 'UNSPECIFIED';
  const byService = !chosen && (view.get(serviceKind, service)?.sessionAffinity ?? false);
  return byRule || byService ? { hashSourceIp: true } : {};
}

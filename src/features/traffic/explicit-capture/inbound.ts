import { type ClusterPlan, clusterPlan, singleEndpoint } from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type ListenerPlan, listenerPlan } from '../../../plan/listener-plan.ts';
import { inboundCluster } from '../../../plan/names.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { portsOf, spokenTo } from '../../../plan/service-scope.ts';
import { parseProtocol } from '../../../registry/protocol.ts';
import type { Protocol } from '../../../registry/service.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ownDemand, parseDemand } from '../../security/peer-authentication/schema.ts';
import { inboundChains } from '../inbound/schema.ts';
import { captureOf, captureOrigin, loopback } from './capture.ts';

interface Inbound {
  readonly servicePort: number;
  readonly listen: number;
  readonly app: number;
  readonly protocol: Protocol;
  /** The service, '' where unknown. */
  readonly service: Key;
}

/** Each inbound mapping as canonical JSON, with what the registry knows of the port. */
const inboundMappings = defineQuery('explicit.inbound', (view): readonly Key[] => {
  const mappings = captureOf(view)?.inbound ?? [];
  if (mappings.length === 0) return [];
  const own = view.call(ownEndpoints).map(splitOwnEndpoint);
  const seen = new Set<number>();
  return mappings.flatMap(({ servicePort, listen, app, protocol }) => {
    if (seen.has(servicePort)) return [];
    seen.add(servicePort);
    const service = own.find((candidate) => candidate.servicePort === servicePort)?.service ?? '';
    const declared = view.call(portsOf, service).find((port) => port.port === servicePort)?.protocol;
    const entry: Inbound = {
      servicePort,
      listen,
      app,
      protocol: declared ?? parseProtocol(protocol ?? ''),
      service,
    };
    return [JSON.stringify(entry)];
  });
});

function resolveInboundListener(view: View, text: Key): readonly Key[] {
  return [text, view.call(ownDemand)];
}

function planInboundListener(view: View, text: Key, demand: Key): ListenerPlan {
  const entry = JSON.parse(text) as Inbound;
  const origin = view.get(serviceKind, entry.service)?.origin ?? captureOrigin;
  return listenerPlan({
    name: `inbound_${loopback}_${entry.listen}`,
    address: loopback,
    port: entry.listen,
    direction: 'inbound',
    bind: true,
    originalDestination: false,
    chains: inboundChains(
      view,
      { port: entry.servicePort, protocol: entry.protocol, origin, allocated: true },
      {},
      parseDemand(demand),
    ),
    detectionTimeoutMs: 0,
    origin,
  });
}

export const explicitInboundListeners: Shaper<ListenerPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  resolve: resolveInboundListener,
  plan: planInboundListener,
};

function planInboundCluster(view: View, text: Key): ClusterPlan {
  const entry = JSON.parse(text) as Inbound;
  const service = view.get(serviceKind, entry.service);
  return clusterPlan({
    name: inboundCluster(entry.servicePort),
    direction: 'inbound',
    discovery: { type: 'static', localities: singleEndpoint(loopback, entry.app) },
    protocol: spokenTo(entry),
    connectTimeoutMs: 10_000,
    ...(service
      ? {
          service: {
            hostname: service.hostname,
            name: service.name,
            namespace: service.namespace,
            port: entry.servicePort,
            subset: '',
          },
        }
      : {}),
    origin: service?.origin ?? captureOrigin,
  });
}

export const explicitInboundClusters: Shaper<ClusterPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  plan: planInboundCluster,
};

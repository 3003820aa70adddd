import {
  type ClusterPlan,
  clusterPlan,
  type LocalityPlan,
  singleEndpoint,
} from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type ListenerPlan, listenerPlan } from '../../../plan/listener-plan.ts';
import { inboundCluster } from '../../../plan/names.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { portsOf, spokenTo } from '../../../plan/service-scope.ts';
import { sidecarFor } from '../../../plan/sidecar.ts';
import { fill } from '../../../plan/slot.ts';
import { parseProtocol } from '../../../registry/protocol.ts';
import type { Protocol } from '../../../registry/service.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ownDemand, parseDemand } from '../../security/peer-authentication/schema.ts';
import { ownPoolSlot } from '../destination-rule/schema.ts';
import { inboundChains } from '../inbound/schema.ts';
import { type IngressListener, ingressListeners, ingressPool } from '../sidecar/schema.ts';
import { boundTo, captureOf, captureOrigin, loopbacksOf } from './capture.ts';

interface Inbound {
  readonly servicePort: number;
  /** As policies call it. */
  readonly port: number;
  readonly listen: number;
  readonly app: number;
  readonly protocol: Protocol;
  /** The service, '' where unknown. */
  readonly service: Key;
  /** The workload's Sidecar and the position of its ingress listener for the port, '' where it has none. */
  readonly sidecar: Key;
  readonly position: number;
}

/** What the workload's Sidecar says of the port. Other ports are served as if it said nothing. */
function ingressOf(view: View, { sidecar, position }: Inbound): IngressListener | undefined {
  return sidecar === '' ? undefined : view.call(ingressListeners, sidecar)[position];
}

/** Each inbound mapping as canonical JSON, with what the registry knows of the port. */
const inboundMappings = defineQuery('explicit.inbound', (view): readonly Key[] => {
  const mappings = captureOf(view)?.inbound ?? [];
  if (mappings.length === 0) return [];
  const own = view.call(ownEndpoints).map(splitOwnEndpoint);
  const sidecar = view.call(sidecarFor);
  const ingress = view.call(ingressListeners, sidecar);
  const seen = new Set<number>();
  return mappings.flatMap(({ servicePort, workloadPort, listen, app, protocol }) => {
    if (seen.has(servicePort)) return [];
    seen.add(servicePort);
    const service = own.find((candidate) => candidate.servicePort === servicePort)?.service ?? '';
    const position = ingress.findIndex((listener) => listener.port === servicePort);
    const said = ingress[position]?.protocol;
    const declared = view.call(portsOf, service).find((port) => port.port === servicePort)?.protocol;
    const entry: Inbound = {
      servicePort,
      port: workloadPort ?? servicePort,
      listen,
      app,
      protocol: said ?? declared ?? parseProtocol(protocol ?? ''),
      service,
      sidecar: position < 0 ? '' : sidecar,
      position,
    };
    return [JSON.stringify(entry)];
  });
});

function resolveInboundListener(view: View, text: Key): readonly Key[] {
  return [text, view.call(ownDemand), loopbacksOf(view)];
}

function planInboundListener(view: View, text: Key, demand: Key, loopbacks: Key): ListenerPlan {
  const on = boundTo(loopbacks);
  const entry = JSON.parse(text) as Inbound;
  const ingress = ingressOf(view, entry);
  const service = view.get(serviceKind, entry.service);
  const origin = ingress?.origin ?? service?.origin ?? captureOrigin;
  const { port, protocol } = entry;
  const tls = ingress?.tls ? { tls: ingress.tls } : {};
  return listenerPlan({
    name: `inbound_${on.address}_${entry.listen}`,
    ...on,
    port: entry.listen,
    direction: 'inbound',
    bind: true,
    originalDestination: false,
    chains: inboundChains(
      view,
      { port, protocol, origin, allocated: true, service, ...tls },
      {},
      parseDemand(demand),
    ),
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin,
  });
}

export const explicitInboundListeners: Shaper<ListenerPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  resolve: resolveInboundListener,
  plan: planInboundListener,
};

function resolveInboundCluster(view: View, text: Key): readonly Key[] {
  return [text, loopbacksOf(view)];
}

function planInboundCluster(view: View, text: Key, loopbacks: Key): ClusterPlan {
  const entry = JSON.parse(text) as Inbound;
  const service = view.get(serviceKind, entry.service);
  const ingress = ingressOf(view, entry);
  const plan = clusterPlan({
    name: inboundCluster(entry.port),
    direction: 'inbound',
    discovery: { type: 'static', localities: targetOf(entry, ingress, loopbacks) },
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
    origin: ingress?.origin ?? service?.origin ?? captureOrigin,
  });
  const pool = ingress?.pool ?? ingressPool(view);
  if (pool) fill(plan, ownPoolSlot, pool.settings, pool.origin);
  return plan;
}

/**
 * The application, where its Sidecar says that it listens; all workloads share the loopback addresses, and applications listen on one of
 * them or on both.
 */
function targetOf(
  { app }: Inbound,
  ingress: IngressListener | undefined,
  loopbacks: Key,
): readonly LocalityPlan[] {
  const [first = '', ...further] = loopbacks.split(',');
  const target = ingress?.target;
  if (!target || target.type === 'original') return singleEndpoint(first, app, further);
  return target.type === 'instance'
    ? singleEndpoint(first, target.port, further)
    : singleEndpoint(target.address, target.port);
}

export const explicitInboundClusters: Shaper<ClusterPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  resolve: resolveInboundCluster,
  plan: planInboundCluster,
};

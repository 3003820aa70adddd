import type { Origin } from '../../../config/origin.ts';
import { loopbackOnly } from '../../../kit/ip.ts';
import { captureMode, explicitCapture, proxyAddresses } from '../../../plan/attributes.ts';
import {
  type ClusterPlan,
  type ClusterService,
  clusterPlan,
  type Discovery,
  singleEndpoint,
} from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { forFamilies } from '../../../plan/ip-families.ts';
import { inboundCluster, inboundPassthroughCluster } from '../../../plan/names.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { spokenTo } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ownPoolSlot } from '../destination-rule/schema.ts';
import { type IngressListener, ingressPool } from '../sidecar/schema.ts';
import { boundPorts, inboundPort, ingressOf, isCaptured, ownPorts } from './own-ports.ts';

const meshOrigin: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: '' };
/** The kernel's capture rules let connections from these addresses through to the application. */
const ipv4Source = '127.0.0.6';
const ipv6Source = '::6';

const clusterKeys = defineQuery('inbound.clusters', (view): readonly Key[] => {
  if (isCaptured(view)) return [...view.call(ownPorts), inboundPassthroughCluster];
  const bound = view.call(boundPorts);
  if (bound.length === 0) return [];
  // Explicit capture makes the clusters of the ports that it maps.
  const text = view.attribute(explicitCapture);
  const mapped = text === '' ? [] : (JSON.parse(text) as ExplicitCapture).inbound;
  return bound.filter((entry) => {
    const port = ingressOf(view, entry)?.port;
    return !mapped.some(({ servicePort }) => servicePort === port);
  });
});

/** entry, the workload's own address where it is wanted, `service port|service` where some service has the port */
function resolveCluster(view: View, entry: Key): readonly Key[] {
  if (entry === inboundPassthroughCluster) return [entry, '', ''];
  const ingress = ingressOf(view, entry);
  if (!ingress) {
    const own = splitOwnEndpoint(entry);
    return [entry, '', `${own.servicePort}|${own.service}`];
  }
  const own = view.call(ownEndpoints).map(splitOwnEndpoint);
  const found = own.find(({ port }) => port === ingress.port);
  return [entry, instanceAddress(view, ingress), found ? `${found.servicePort}|${found.service}` : ''];
}

function instanceAddress(view: View, { target }: IngressListener): string {
  if (target.type !== 'instance') return '';
  const [own = ''] = view.attribute(proxyAddresses).split(',');
  // Workloads that share a machine without the kernel's help share its loopback address.
  if (view.attribute(captureMode) === 'explicit') return own.includes(':') ? '::1' : '127.0.0.1';
  return own || '127.0.0.1';
}

function planCluster(view: View, entry: Key, address: Key, service: Key): ClusterPlan | undefined {
  const own = entry === inboundPassthroughCluster ? undefined : inboundPort(view, entry);
  if (!own && entry !== inboundPassthroughCluster) return undefined;
  const ingress = ingressOf(view, entry);
  const discovery =
    own && !ingress && view.mesh('inboundTrafficPolicy') === 'LOCALHOST'
      ? loopbackDiscovery(view, own.port)
      : ingressDiscovery(ingress, address);
  const plan = clusterPlan({
    name: own ? inboundCluster(own.port) : inboundPassthroughCluster,
    direction: 'inbound',
    discovery,
    protocol: own ? spokenTo(own) : 'http-auto',
    connectTimeoutMs: 10_000,
    ...sources(view, discovery, address),
    ...serviceOf(view, service),
    origin: own?.origin ?? meshOrigin,
  });
  const pool = own && (ingress?.pool ?? ingressPool(view));
  if (pool) fill(plan, ownPoolSlot, pool.settings, pool.origin);
  return plan;
}

function sources(view: View, discovery: Discovery, address: Key): Pick<ClusterPlan, 'bindAddresses'> {
  if (discovery.type === 'original-destination')
    return { bindAddresses: forFamilies(view, ipv4Source, ipv6Source) };
  if (address === '' || loopbackOnly(address)) return {};
  return { bindAddresses: [address.includes(':') ? ipv6Source : ipv4Source] };
}

function ingressDiscovery(ingress: IngressListener | undefined, address: Key): Discovery {
  const target = ingress?.target;
  if (!target || target.type === 'original') return { type: 'original-destination' };
  return {
    type: 'static',
    localities: singleEndpoint(target.type === 'instance' ? address : target.address, target.port),
  };
}

/** Applications that listen on a loopback address alone. */
function loopbackDiscovery(view: View, port: number): Discovery {
  const [first, ...further] = forFamilies(view, '127.0.0.1', '::1');
  return { type: 'static', localities: singleEndpoint(first, port, further) };
}

/** What metrics say of the destination. */
function serviceOf(view: View, id: Key): { service?: ClusterService } {
  const bar = id.indexOf('|');
  const found = bar < 0 ? undefined : view.get(serviceKind, id.slice(bar + 1));
  if (!found) return {};
  const { hostname, name, namespace } = found;
  return { service: { hostname, name, namespace, port: Number(id.slice(0, bar)), subset: '' } };
}

export const inboundClusters: Shaper<ClusterPlan> = {
  name: 'inbound',
  keys: clusterKeys,
  resolve: resolveCluster,
  plan: planCluster,
};

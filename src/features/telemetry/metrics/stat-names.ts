import type { Cluster } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import { portsOf } from '../../../plan/service-scope.ts';
import { defineSlot, fill, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';

/** Under which name Envoy counts a cluster, instead of the cluster's own. */
const statNameSlot = defineSlot<string>('statName');

/**
 * `outboundClusterStatName` and `inboundClusterStatName` of MeshConfig, patterns with `%SERVICE%`, `%SERVICE_FQDN%`, `%SERVICE_PORT%`,
 * `%SERVICE_PORT_NAME%`, `%TARGET_PORT%` (inbound; 0 elsewhere) and `%SUBSET_NAME%`.
 * @see https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig
 */
export function nameStatistics(view: View, plan: ClusterPlan): void {
  const { service, direction } = plan;
  if (!service || direction === 'passthrough') return;
  const setting = direction === 'outbound' ? 'outboundClusterStatName' : 'inboundClusterStatName';
  const pattern = view.mesh(setting);
  if (pattern === '') return;
  const { hostname, namespace, port, subset } = service;
  const known = view.call(portsOf, `${namespace}/${hostname}`).find((one) => one.port === port);
  const local = `.svc.${view.mesh('domainSuffix')}`;
  const words: Readonly<Record<string, string>> = {
    SERVICE: hostname.endsWith(local) ? hostname.slice(0, -local.length) : hostname,
    SERVICE_FQDN: hostname,
    SERVICE_PORT: String(port),
    SERVICE_PORT_NAME: known?.name ?? '',
    TARGET_PORT: (direction === 'inbound' ? plan.name.split('|')[1] : undefined) ?? '0',
    SUBSET_NAME: subset,
  };
  const name = pattern.replace(/%([A-Z_]+)%/g, (whole, word: string) => words[word] ?? whole);
  fill(plan, statNameSlot, name, { kind: 'MeshConfig', namespace: '', name: 'mesh', path: setting });
}

export function emitStatName(plan: ClusterPlan, message: Cluster): void {
  const name = read(plan, statNameSlot);
  if (name !== undefined) message.altStatName = name;
}

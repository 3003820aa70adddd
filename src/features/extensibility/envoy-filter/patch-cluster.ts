import { type Cluster, ClusterSchema } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { parseClusterName } from '../../../plan/names.ts';
import type { KnownAs } from '../../../snapshot/resource.ts';
import { isMerge, mergeValue, type PatchRun } from './patch-run.ts';
import type { PatchHead } from './schema.ts';
import { explicitProtocol, offerProtocol } from './upstream-protocol.ts';

/** Whether a patch means a cluster, by its name and, of inbound clusters, the service behind it. */
export function clusterMatches(
  head: PatchHead,
  name: string,
  known: KnownAs | undefined,
  gateway: boolean,
): boolean {
  const parsed = parseClusterName(name);
  const inbound = parsed ? parsed.direction !== 'outbound' : name === 'InboundPassthroughCluster';
  if (head.context === 'SIDECAR_INBOUND' && !inbound) return false;
  if (head.context === 'SIDECAR_OUTBOUND' && inbound) return false;
  if (head.context === 'GATEWAY' && !gateway) return false;
  const match = head.match.cluster;
  if (!match) return true;
  if (match.name) return match.name === name;
  const host = parsed && (parsed.host || known?.host);
  if (match.subset && match.subset !== parsed?.subset) return false;
  if (match.service && match.service !== host) return false;
  return !match.portNumber || match.portNumber === parsed?.port || match.portNumber === known?.port;
}

/** The cluster after its patches, changed in place; undefined: removed. All of them are known to concern it. */
export function patchCluster(run: PatchRun, cluster: Cluster): Cluster | undefined {
  const before = explicitProtocol(cluster);
  for (const patch of run.patches) {
    if (isMerge(patch.operation)) mergeValue(ClusterSchema, cluster, patch);
    else if (patch.operation !== 'REMOVE') continue;
    run.applied.add(patch.id);
    if (patch.operation === 'REMOVE') return undefined;
  }
  const now = explicitProtocol(cluster);
  if (now && now !== before) offerProtocol(cluster, now);
  return cluster;
}

import type { Model, ModelWorkload } from '../model/model.ts';

/** Workloads that nothing of a configuration can tell apart but by their address: one of them stands for all. */
export interface Sender {
  readonly at: ModelWorkload;
  /** `namespace/name` of all. */
  readonly members: readonly string[];
}

const revisionLabels: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'controller-revision-hash',
  'pod-template-generation',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
]);

/** The workloads that send requests, and gateways that pass on those from outside. `distinct` tells further ones apart. */
export function sendersOf(model: Model, distinct: (workload: ModelWorkload) => unknown = () => ''): Sender[] {
  const groups = new Map<string, { at: ModelWorkload; members: string[] }>();
  const ids = new Map<unknown, number>();
  for (const at of model.workloads.values()) {
    const mark = distinct(at);
    if (!ids.has(mark)) ids.set(mark, ids.size);
    const key = `${templateOf(at)} ${ids.get(mark)}`;
    const group = groups.get(key);
    if (group) group.members.push(at.key);
    else groups.set(key, { at, members: [at.key] });
  }
  return [...groups.values()];
}

function templateOf({ workload, proxy, key }: ModelWorkload): string {
  const labels = Object.entries(workload.labels).filter(([name]) => !revisionLabels.has(name));
  return JSON.stringify([
    workload.namespace,
    workload.controller ?? workload.labels['service.istio.io/workload-name'] ?? key,
    labels.sort(([a], [b]) => (a < b ? -1 : 1)),
    workload.serviceAccount,
    workload.locality,
    workload.network,
    proxy?.type,
    proxy?.explicit !== undefined,
  ]);
}

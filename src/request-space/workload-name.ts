import type { Workload } from '../registry/service.ts';

/** What people call a workload, all its replicas alike: `name.namespace`. */
export function workloadName({ controller, labels, name, namespace }: Workload): string {
  return `${controller ?? labels['service.istio.io/workload-name'] ?? name}.${namespace}`;
}

/** Everything that it is known by, each with its namespace. */
export function workloadNames(workload: Workload): string[] {
  const { labels, name, namespace } = workload;
  const further = [name, labels['service.istio.io/canonical-name'], labels.app].filter(
    (one) => one !== undefined,
  );
  return [workloadName(workload), ...further.map((one) => `${one}.${namespace}`)];
}

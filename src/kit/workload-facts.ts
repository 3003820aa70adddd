/** What metrics tell of a workload: Istio's labels `*_workload`, `*_canonical_service` and so on. */
export interface WorkloadFacts {
  /** Name of the Deployment or its like, not of one pod. */
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
  readonly app: string;
  readonly version: string;
}

/** Environment variable of Envoy that holds its own workload's facts, as text. */
export const peerVariable = 'OSTRIA_PEER';
export const unknownFact = 'unknown';

const defaultCluster = 'Kubernetes';

/** The facts of a workload by its labels, read as Istio reads them. `name` is that of the workload, or of its pod where nobody knows better. */
export function workloadFacts(workload: {
  readonly name: string;
  readonly namespace: string;
  readonly clusterId: string;
  readonly labels: Readonly<Record<string, string>>;
}): WorkloadFacts {
  const { labels } = workload;
  const name = labels['service.istio.io/workload-name'] || workload.name || unknownFact;
  return {
    workload: name,
    namespace: workload.namespace || unknownFact,
    canonicalService:
      labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels.app || name,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ||
      labels['app.kubernetes.io/version'] ||
      labels.version ||
      'latest',
    cluster: workload.clusterId || defaultCluster,
    app: labels.app || unknownFact,
    version: labels.version || unknownFact,
  };
}

/**
 * The facts as text: short, since every endpoint and every request between sidecars carries one. Parts that can be told from the
 * others are left out at the end: `reviews-v1;default;reviews;v1`.
 */
export function encodeFacts(facts: WorkloadFacts): string {
  return [
    facts.workload,
    facts.namespace,
    facts.canonicalService,
    facts.canonicalRevision,
    facts.cluster === defaultCluster ? '' : facts.cluster,
    facts.app === facts.canonicalService ? '' : facts.app,
    facts.version === facts.canonicalRevision ? '' : facts.version,
  ]
    .map((part) => part.replaceAll(';', ''))
    .join(';')
    .replace(/;+$/, '');
}

/** Undefined for what is no such text: it may come from a stranger. */
export function decodeFacts(text: string): WorkloadFacts | undefined {
  const parts = text.split(';');
  const [workload, namespace, canonicalService, canonicalRevision, cluster, app, version] = parts;
  if (!workload || !namespace || !canonicalService || !canonicalRevision || parts.length > 7)
    return undefined;
  return {
    workload,
    namespace,
    canonicalService,
    canonicalRevision,
    cluster: cluster || defaultCluster,
    app: app || canonicalService,
    version: version || canonicalRevision,
  };
}

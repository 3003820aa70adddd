import { randomUUID } from 'node:crypto';
import type { ConfigObject } from '../../config/object.ts';
import type { Store } from '../../config/store/store.ts';

/** The pod by which Istio's tools find the control plane. */
export const istiodPod = { namespace: 'istio-system', name: 'istiod' } as const;

/**
 * The pod that stands for the control plane: Istio's command line, Kiali and people look for `app=istiod`, and reach its ports through
 * the API. No service selects it, so that no proxy hears of it. `metricsPort`: where `/metrics` is served, for Prometheus' discovery of pods.
 */
function istiodPodObject(version: string, startedAt: string, metricsPort: number): ConfigObject {
  const labels = {
    app: 'istiod',
    istio: 'pilot',
    'istio.io/rev': 'default',
    'app.kubernetes.io/managed-by': 'ostria',
    'app.kubernetes.io/version': version,
    'sidecar.istio.io/inject': 'false',
  };
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: startedAt,
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...istiodPod,
      labels,
      ...(metricsPort > 0
        ? { annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(metricsPort) } }
        : {}),
    },
    spec: {
      serviceAccountName: 'istiod',
      containers: [
        {
          name: 'discovery',
          image: 'ostria.dev/control-plane',
          ports: [
            { name: 'https-dns', containerPort: 15012 },
            { name: 'http-monitoring', containerPort: 15014 },
          ],
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      podIPs: [{ ip: '127.0.0.1' }],
      hostIP: '127.0.0.1',
      startTime: startedAt,
      conditions,
      containerStatuses: [
        {
          name: 'discovery',
          ready: true,
          restartCount: 0,
          image: 'ostria.dev/control-plane',
          imageID: '',
          state: { running: { startedAt } },
        },
      ],
    },
  };
}

/**
 * The Deployment that Kiali looks for: it takes a cluster without one for somebody else's. Nothing follows it: there is no controller of
 * Deployments here.
 */
function istiodDeployment({ metadata, spec }: ConfigObject, startedAt: string): ConfigObject {
  const labels = metadata.labels ?? {};
  const containers = (spec as { containers: object[] }).containers.map((container) => ({
    ...container,
    env: [
      { name: 'REVISION', value: labels['istio.io/rev'] },
      { name: 'CLUSTER_ID', value: 'Kubernetes' },
    ],
  }));
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...istiodPod, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'istiod' } },
      template: { metadata: { labels }, spec: { ...(spec as object), containers } },
    },
    status: {
      observedGeneration: 1,
      replicas: 1,
      readyReplicas: 1,
      availableReplicas: 1,
      updatedReplicas: 1,
      conditions: [
        {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          lastTransitionTime: startedAt,
        },
      ],
    },
  };
}

const meshSettings: ConfigObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: 'istio',
    namespace: istiodPod.namespace,
    labels: { 'app.kubernetes.io/managed-by': 'ostria' },
  },
  data: { mesh: '{}\n' },
};

/** The mesh's settings as an object, empty, where nobody has written one: Istio's tools stop where there is none. */
export async function publishMeshSettings(store: Store, now = new Date()): Promise<void> {
  const { name } = meshSettings.metadata;
  const ref = { resource: 'configmaps', namespace: istiodPod.namespace, name };
  const creationTimestamp = now.toISOString().replace(/\.\d+Z$/, 'Z');
  // The settings themselves are owned by nobody: the first who applies some has no conflict.
  const managedFields = [
    {
      ...{ manager: 'ostria', operation: 'Update' as const, apiVersion: 'v1', time: creationTimestamp },
      ...{ fieldsType: 'FieldsV1' as const, fieldsV1: { 'f:metadata': { 'f:labels': { '.': {} } } } },
    },
  ];
  const metadata = { ...meshSettings.metadata, uid: randomUUID(), creationTimestamp, managedFields };
  // Somebody else's stays as it is.
  await store.commit([{ type: 'put', ref, object: { ...meshSettings, metadata }, expect: 0 }]);
}

/** Writes the pod and its Deployment; those of an earlier run keep their identity. `metricsPort`: 0 where nothing serves them. */
export async function publishIstiodPod(
  store: Store,
  version: string,
  metricsPort: number,
  now = new Date(),
): Promise<void> {
  const startedAt = now.toISOString().replace(/\.\d+Z$/, 'Z');
  const pod = istiodPodObject(version, startedAt, metricsPort);
  const objects = { pods: pod, 'deployments.apps': istiodDeployment(pod, startedAt) };
  for (const [resource, object] of Object.entries(objects)) {
    const ref = { resource, ...istiodPod };
    const known = (await store.get(ref))?.object.metadata;
    const metadata = {
      ...object.metadata,
      uid: known?.uid ?? randomUUID(),
      creationTimestamp: known?.creationTimestamp ?? startedAt,
      ...(resource === 'pods' ? {} : { generation: 1 }),
    };
    await store.commit([{ type: 'put', ref, object: { ...object, metadata } }]);
  }
}

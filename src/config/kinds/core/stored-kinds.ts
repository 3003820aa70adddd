import type { Kind } from '../../kind.ts';
import { metadataSchema } from '../../schema/metadata-schema.ts';
import { builtin } from './define.ts';
import { podSpec, podStatus, podTemplate } from './pod-schema.ts';
import {
  anyObject,
  boolean,
  bytes,
  conditions,
  int32,
  int64,
  labelSelector,
  list,
  localReference,
  mapList,
  object,
  objectReference,
  openObject,
  quantities,
  string,
  strings,
  time,
} from './schema-builder.ts';

const namespace = builtin({
  kind: 'Namespace',
  shortNames: ['ns'],
  clusterScoped: true,
  behaviour: 'built',
  fields: {
    spec: object({ finalizers: list(string) }),
    status: object({ phase: string, conditions }),
  },
  columns: [['Status', '.status.phase']],
});

const pod = builtin({
  kind: 'Pod',
  shortNames: ['po'],
  categories: ['all'],
  behaviour: 'built',
  fields: { spec: podSpec, status: podStatus },
  columns: [
    ['Ready', '.status.conditions[?(@.type=="Ready")].status'],
    ['Status', '.status.phase'],
    ['IP', '.status.podIP', 'string', 1],
    ['Node', '.spec.nodeName', 'string', 1],
  ],
});

const serviceAccount = builtin({
  kind: 'ServiceAccount',
  shortNames: ['sa'],
  behaviour: 'built',
  fields: {
    automountServiceAccountToken: boolean,
    imagePullSecrets: list(localReference),
    secrets: mapList(['name'], objectReference),
  },
});

const secret = builtin({
  kind: 'Secret',
  behaviour: 'built',
  fields: {
    type: { type: 'string', default: 'Opaque' },
    data: { type: 'object', additionalProperties: bytes },
    stringData: strings,
    immutable: boolean,
  },
  columns: [['Type', '.type']],
});

const configMap = builtin({
  kind: 'ConfigMap',
  shortNames: ['cm'],
  behaviour: 'built',
  fields: {
    data: strings,
    binaryData: { type: 'object', additionalProperties: bytes },
    immutable: boolean,
  },
});

const eventSeries = object({ count: int32, lastObservedTime: time });

const event = builtin({
  kind: 'Event',
  shortNames: ['ev'],
  behaviour: 'built',
  required: ['involvedObject'],
  fields: {
    involvedObject: objectReference,
    related: objectReference,
    reason: string,
    message: string,
    source: object({ component: string, host: string }),
    firstTimestamp: time,
    lastTimestamp: time,
    eventTime: time,
    count: int32,
    type: string,
    action: string,
    series: eventSeries,
    reportingComponent: string,
    reportingInstance: string,
  },
  columns: [
    ['Last Seen', '.lastTimestamp', 'date'],
    ['Type', '.type'],
    ['Reason', '.reason'],
    ['Object', '.involvedObject.name'],
    ['Message', '.message'],
  ],
});

const eventsEvent = builtin({
  group: 'events.k8s.io',
  kind: 'Event',
  shortNames: ['ev'],
  fields: {
    regarding: objectReference,
    related: objectReference,
    reason: string,
    note: string,
    type: string,
    action: string,
    eventTime: time,
    series: eventSeries,
    reportingController: string,
    reportingInstance: string,
    deprecatedSource: object({ component: string, host: string }),
    deprecatedFirstTimestamp: time,
    deprecatedLastTimestamp: time,
    deprecatedCount: int32,
  },
  columns: [
    ['Type', '.type'],
    ['Reason', '.reason'],
    ['Object', '.regarding.name'],
    ['Message', '.note'],
  ],
});

const scale = { replicas: int32, selector: labelSelector, template: podTemplate };

function workload(kind: string, shortNames: string[], spec: Parameters<typeof object>[0]): Kind {
  return builtin({
    group: 'apps',
    kind,
    shortNames,
    categories: ['all'],
    fields: { spec: openObject(spec), status: anyObject },
    columns: [
      ['Desired', '.spec.replicas', 'integer'],
      ['Ready', '.status.readyReplicas', 'integer'],
    ],
  });
}

const claimTemplate = openObject({ metadata: metadataSchema, spec: anyObject });

const jobSpec = openObject({
  selector: labelSelector,
  template: podTemplate,
  completions: int32,
  parallelism: int32,
  backoffLimit: int32,
});

const storedInBatch = (kind: string, shortNames: string[], spec: ReturnType<typeof openObject>) =>
  builtin({ group: 'batch', kind, shortNames, categories: ['all'], fields: { spec, status: anyObject } });

/** Kinds that charts bring along: accepted and kept, nothing runs them. */
export const storedKinds: Kind[] = [
  namespace,
  pod,
  serviceAccount,
  secret,
  configMap,
  event,
  eventsEvent,
  workload('Deployment', ['deploy'], scale),
  workload('ReplicaSet', ['rs'], scale),
  workload('StatefulSet', ['sts'], {
    ...scale,
    serviceName: string,
    volumeClaimTemplates: list(claimTemplate),
  }),
  workload('DaemonSet', ['ds'], { selector: labelSelector, template: podTemplate }),
  builtin({
    group: 'apps',
    kind: 'ControllerRevision',
    fields: { data: anyObject, revision: int64 },
    columns: [['Revision', '.revision', 'integer']],
  }),
  builtin({
    kind: 'ReplicationController',
    shortNames: ['rc'],
    categories: ['all'],
    fields: {
      spec: openObject({ replicas: int32, selector: strings, template: podTemplate }),
      status: anyObject,
    },
  }),
  builtin({ kind: 'PodTemplate', fields: { template: podTemplate } }),
  storedInBatch('Job', [], jobSpec),
  storedInBatch(
    'CronJob',
    ['cj'],
    openObject({
      schedule: string,
      suspend: boolean,
      jobTemplate: openObject({ metadata: metadataSchema, spec: jobSpec }),
    }),
  ),
  builtin({
    group: 'autoscaling',
    version: 'v2',
    kind: 'HorizontalPodAutoscaler',
    shortNames: ['hpa'],
    categories: ['all'],
    fields: {
      spec: openObject({
        minReplicas: int32,
        maxReplicas: int32,
        scaleTargetRef: objectReference,
        metrics: list(anyObject),
      }),
      status: anyObject,
    },
    columns: [
      ['Reference', '.spec.scaleTargetRef.name'],
      ['MinPods', '.spec.minReplicas', 'integer'],
      ['MaxPods', '.spec.maxReplicas', 'integer'],
    ],
  }),
  builtin({
    group: 'policy',
    kind: 'PodDisruptionBudget',
    shortNames: ['pdb'],
    fields: { spec: openObject({ selector: labelSelector }), status: anyObject },
    columns: [
      ['Min Available', '.spec.minAvailable'],
      ['Max Unavailable', '.spec.maxUnavailable'],
    ],
  }),
  builtin({ kind: 'LimitRange', shortNames: ['limits'], fields: { spec: anyObject } }),
  builtin({
    kind: 'ResourceQuota',
    shortNames: ['quota'],
    fields: { spec: openObject({ hard: quantities }), status: anyObject },
  }),
  builtin({
    kind: 'PersistentVolumeClaim',
    shortNames: ['pvc'],
    fields: { spec: anyObject, status: anyObject },
    columns: [
      ['Status', '.status.phase'],
      ['StorageClass', '.spec.storageClassName'],
    ],
  }),
  builtin({
    kind: 'PersistentVolume',
    shortNames: ['pv'],
    clusterScoped: true,
    fields: { spec: anyObject, status: anyObject },
    columns: [['Status', '.status.phase']],
  }),
  builtin({
    group: 'storage.k8s.io',
    kind: 'StorageClass',
    plural: 'storageclasses',
    shortNames: ['sc'],
    clusterScoped: true,
    required: ['provisioner'],
    fields: {
      provisioner: string,
      parameters: strings,
      reclaimPolicy: string,
      mountOptions: list(string),
      allowVolumeExpansion: boolean,
      volumeBindingMode: string,
      allowedTopologies: list(anyObject),
    },
    columns: [['Provisioner', '.provisioner']],
  }),
  builtin({
    group: 'scheduling.k8s.io',
    kind: 'PriorityClass',
    plural: 'priorityclasses',
    shortNames: ['pc'],
    clusterScoped: true,
    required: ['value'],
    fields: { value: int32, globalDefault: boolean, description: string, preemptionPolicy: string },
    columns: [['Value', '.value', 'integer']],
  }),
];

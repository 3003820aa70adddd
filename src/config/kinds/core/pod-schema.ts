import { metadataSchema } from '../../schema/metadata-schema.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import {
  anyObject,
  boolean,
  int32,
  int64,
  intOrString,
  labelSelector,
  list,
  localReference,
  mapList,
  object,
  openObject,
  patchList,
  quantities,
  string,
  strings,
  time,
  withDefault,
} from './schema-builder.ts';

const keySelector = object({ name: string, key: string, optional: { type: 'boolean' } }, 'key');

const env = mapList(
  ['name'],
  object(
    {
      name: string,
      value: string,
      valueFrom: openObject({
        fieldRef: object({ apiVersion: string, fieldPath: string }, 'fieldPath'),
        resourceFieldRef: object(
          { containerName: string, resource: string, divisor: intOrString },
          'resource',
        ),
        configMapKeyRef: keySelector,
        secretKeyRef: keySelector,
      }),
    },
    'name',
  ),
);

const probe = openObject({
  exec: object({ command: list(string) }),
  httpGet: object(
    {
      host: string,
      httpHeaders: list(object({ name: string, value: string }, 'name', 'value')),
      path: string,
      port: intOrString,
      scheme: string,
    },
    'port',
  ),
  tcpSocket: object({ host: string, port: intOrString }, 'port'),
  grpc: object({ port: int32, service: string }, 'port'),
  initialDelaySeconds: int32,
  timeoutSeconds: int32,
  periodSeconds: int32,
  successThreshold: int32,
  failureThreshold: int32,
  terminationGracePeriodSeconds: int64,
});

const resources = object({
  limits: quantities,
  requests: quantities,
  claims: mapList(['name'], object({ name: string, request: string }, 'name')),
});

const containerFields: Record<string, SchemaNode> = {
  name: string,
  image: string,
  imagePullPolicy: string,
  command: list(string),
  args: list(string),
  workingDir: string,
  env,
  envFrom: list(openObject({ prefix: string })),
  ports: mapList(
    ['containerPort', 'protocol'],
    object(
      {
        name: string,
        containerPort: { ...int32, minimum: 1, maximum: 65535 },
        hostPort: int32,
        hostIP: string,
        protocol: withDefault(string, 'TCP'),
      },
      'containerPort',
    ),
  ),
  resources,
  resizePolicy: list(
    object({ resourceName: string, restartPolicy: string }, 'resourceName', 'restartPolicy'),
  ),
  restartPolicy: string,
  restartPolicyRules: list(anyObject),
  volumeMounts: mapList(
    ['mountPath'],
    object(
      {
        name: string,
        mountPath: string,
        subPath: string,
        subPathExpr: string,
        readOnly: boolean,
        recursiveReadOnly: string,
        mountPropagation: string,
      },
      'name',
      'mountPath',
    ),
  ),
  volumeDevices: mapList(['devicePath'], object({ name: string, devicePath: string }, 'name', 'devicePath')),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: anyObject,
  securityContext: anyObject,
  terminationMessagePath: string,
  terminationMessagePolicy: string,
  stdin: boolean,
  stdinOnce: boolean,
  tty: boolean,
};

const containers = mapList(['name'], object(containerFields, 'name'));

const topologySpread = object(
  {
    labelSelector,
    matchLabelKeys: list(string),
    maxSkew: int32,
    minDomains: int32,
    nodeAffinityPolicy: string,
    nodeTaintsPolicy: string,
    topologyKey: string,
    whenUnsatisfiable: string,
  },
  'maxSkew',
  'topologyKey',
  'whenUnsatisfiable',
);

/** PodSpec; what is deep and not read here (volume sources, affinity, security contexts) is kept as it is. */
export const podSpec: SchemaNode = object(
  {
    containers,
    initContainers: containers,
    ephemeralContainers: mapList(
      ['name'],
      object({ ...containerFields, targetContainerName: string }, 'name'),
    ),
    volumes: {
      ...mapList(['name'], openObject({ name: string }, 'name')),
      'x-kubernetes-patch-strategy': 'merge,retainKeys',
    },
    activeDeadlineSeconds: int64,
    affinity: anyObject,
    automountServiceAccountToken: boolean,
    dnsConfig: object({
      nameservers: list(string),
      searches: list(string),
      options: list(object({ name: string, value: string })),
    }),
    dnsPolicy: string,
    enableServiceLinks: boolean,
    hostAliases: mapList(['ip'], object({ ip: string, hostnames: list(string) }, 'ip')),
    hostIPC: boolean,
    hostNetwork: boolean,
    hostPID: boolean,
    hostUsers: boolean,
    hostname: string,
    hostnameOverride: string,
    imagePullSecrets: mapList(['name'], localReference),
    nodeName: string,
    nodeSelector: { ...strings, 'x-kubernetes-map-type': 'atomic' },
    os: object({ name: string }, 'name'),
    overhead: quantities,
    preemptionPolicy: string,
    priority: int32,
    priorityClassName: string,
    readinessGates: list(object({ conditionType: string }, 'conditionType')),
    resourceClaims: mapList(['name'], openObject({ name: string }, 'name')),
    resources,
    restartPolicy: string,
    runtimeClassName: string,
    schedulerName: string,
    schedulingGates: mapList(['name'], object({ name: string }, 'name')),
    securityContext: anyObject,
    serviceAccount: string,
    serviceAccountName: string,
    setHostnameAsFQDN: boolean,
    shareProcessNamespace: boolean,
    subdomain: string,
    terminationGracePeriodSeconds: int64,
    tolerations: list(
      object({ effect: string, key: string, operator: string, tolerationSeconds: int64, value: string }),
    ),
    topologySpreadConstraints: mapList(['topologyKey', 'whenUnsatisfiable'], topologySpread),
    workloadRef: anyObject,
  },
  'containers',
);

export const podTemplate: SchemaNode = object({ metadata: metadataSchema, spec: podSpec });

export const podStatus: SchemaNode = openObject({
  phase: string,
  conditions: patchList('type', openObject({ type: string, status: string }, 'type', 'status')),
  message: string,
  reason: string,
  hostIP: string,
  hostIPs: mapList(['ip'], object({ ip: string }, 'ip')),
  podIP: string,
  podIPs: mapList(['ip'], object({ ip: string }, 'ip')),
  startTime: time,
  qosClass: string,
  containerStatuses: list(anyObject),
  initContainerStatuses: list(anyObject),
  observedGeneration: int64,
});

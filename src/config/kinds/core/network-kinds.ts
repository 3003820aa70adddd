import type { Kind } from '../../kind.ts';
import { builtin } from './define.ts';
import {
  anyObject,
  boolean,
  conditions,
  int32,
  int64,
  intOrString,
  list,
  mapList,
  object,
  objectReference,
  oneOf,
  openObject,
  patchList,
  set,
  string,
  strings,
  withDefault,
} from './schema-builder.ts';
import { validateEndpointSlice, validateService } from './validate-network.ts';

const protocol = withDefault(oneOf('TCP', 'UDP', 'SCTP'), 'TCP');
const port = { ...int32, minimum: 1, maximum: 65535 };

const servicePort = object(
  { name: string, port, protocol, targetPort: intOrString, nodePort: int32, appProtocol: string },
  'port',
);

const service = builtin({
  kind: 'Service',
  shortNames: ['svc'],
  categories: ['all'],
  behaviour: 'built',
  validate: validateService,
  fields: {
    spec: object({
      type: withDefault(oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), 'ClusterIP'),
      ports: mapList(['port', 'protocol'], servicePort),
      selector: { ...strings, 'x-kubernetes-map-type': 'atomic' },
      clusterIP: string,
      clusterIPs: list(string),
      ipFamilies: list(oneOf('IPv4', 'IPv6')),
      ipFamilyPolicy: oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack'),
      externalIPs: list(string),
      externalName: string,
      externalTrafficPolicy: oneOf('Cluster', 'Local'),
      internalTrafficPolicy: oneOf('Cluster', 'Local'),
      trafficDistribution: string,
      sessionAffinity: withDefault(oneOf('None', 'ClientIP'), 'None'),
      sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: int32 }) }),
      publishNotReadyAddresses: boolean,
      loadBalancerIP: string,
      loadBalancerClass: string,
      loadBalancerSourceRanges: list(string),
      allocateLoadBalancerNodePorts: boolean,
      healthCheckNodePort: int32,
    }),
    status: object({
      conditions,
      loadBalancer: object({
        ingress: list(object({ hostname: string, ip: string, ipMode: string, ports: list(anyObject) })),
      }),
    }),
  },
  columns: [
    ['Type', '.spec.type'],
    ['Cluster-IP', '.spec.clusterIP'],
    ['External-IP', '.status.loadBalancer.ingress[*].ip'],
    ['Port(s)', '.spec.ports[*].port'],
    ['Selector', '.spec.selector', 'string', 1],
  ],
});

const endpointAddress = object(
  { ip: string, hostname: string, nodeName: string, targetRef: objectReference },
  'ip',
);

const endpoints = builtin({
  kind: 'Endpoints',
  plural: 'endpoints',
  shortNames: ['ep'],
  behaviour: 'built',
  fields: {
    subsets: list(
      object({
        addresses: list(endpointAddress),
        notReadyAddresses: list(endpointAddress),
        ports: list(object({ name: string, port, protocol, appProtocol: string }, 'port')),
      }),
    ),
  },
  columns: [['Endpoints', '.subsets[*].addresses[*].ip']],
});

const endpointSlice = builtin({
  group: 'discovery.k8s.io',
  kind: 'EndpointSlice',
  behaviour: 'built',
  validate: validateEndpointSlice,
  required: ['addressType', 'endpoints'],
  fields: {
    addressType: oneOf('IPv4', 'IPv6', 'FQDN'),
    endpoints: list(
      object(
        {
          addresses: set(string),
          conditions: object({ ready: boolean, serving: boolean, terminating: boolean }),
          hostname: string,
          nodeName: string,
          zone: string,
          targetRef: objectReference,
          deprecatedTopology: strings,
          hints: object({
            forZones: list(object({ name: string }, 'name')),
            forNodes: list(object({ name: string }, 'name')),
          }),
        },
        'addresses',
      ),
    ),
    ports: list(object({ name: withDefault(string, ''), port, protocol, appProtocol: string })),
  },
  columns: [
    ['AddressType', '.addressType'],
    ['Ports', '.ports[*].port'],
    ['Endpoints', '.endpoints[*].addresses[*]'],
  ],
});

const ingressBackend = openObject({
  service: object(
    { name: string, port: { ...object({ name: string, number: int32 }), 'x-kubernetes-map-type': 'atomic' } },
    'name',
  ),
  resource: objectReference,
});

const ingress = builtin({
  group: 'networking.k8s.io',
  kind: 'Ingress',
  plural: 'ingresses',
  shortNames: ['ing'],
  fields: {
    spec: object({
      ingressClassName: string,
      defaultBackend: ingressBackend,
      tls: list(object({ hosts: list(string), secretName: string })),
      rules: list(
        object({
          host: string,
          http: object(
            {
              paths: list(
                object({ path: string, pathType: string, backend: ingressBackend }, 'pathType', 'backend'),
              ),
            },
            'paths',
          ),
        }),
      ),
    }),
    status: anyObject,
  },
  columns: [
    ['Class', '.spec.ingressClassName'],
    ['Hosts', '.spec.rules[*].host'],
    ['Address', '.status.loadBalancer.ingress[*].ip'],
  ],
});

const ingressClass = builtin({
  group: 'networking.k8s.io',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  clusterScoped: true,
  fields: { spec: object({ controller: string, parameters: anyObject }) },
  columns: [['Controller', '.spec.controller']],
});

const networkPolicy = builtin({
  group: 'networking.k8s.io',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  shortNames: ['netpol'],
  fields: { spec: anyObject },
});

const lease = builtin({
  group: 'coordination.k8s.io',
  kind: 'Lease',
  behaviour: 'built',
  fields: {
    spec: object({
      acquireTime: { type: 'string', format: 'date-time', nullable: true },
      renewTime: { type: 'string', format: 'date-time', nullable: true },
      holderIdentity: string,
      leaseDurationSeconds: int32,
      leaseTransitions: int32,
      strategy: string,
      preferredHolder: string,
    }),
  },
  columns: [['Holder', '.spec.holderIdentity']],
});

const node = builtin({
  kind: 'Node',
  shortNames: ['no'],
  clusterScoped: true,
  behaviour: 'built',
  fields: {
    spec: object({
      podCIDR: string,
      podCIDRs: set(string),
      providerID: string,
      unschedulable: boolean,
      externalID: string,
      configSource: anyObject,
      taints: list(
        object({ key: string, value: string, effect: string, timeAdded: string }, 'key', 'effect'),
      ),
    }),
    status: openObject({
      addresses: patchList('type', object({ type: string, address: string }, 'type', 'address')),
      conditions: patchList('type', openObject({ type: string, status: string }, 'type', 'status')),
      nodeInfo: anyObject,
      capacity: anyObject,
      allocatable: anyObject,
      observedGeneration: int64,
    }),
  },
  columns: [
    ['Status', '.status.conditions[?(@.type=="Ready")].status'],
    ['Version', '.status.nodeInfo.kubeletVersion'],
    ['Internal-IP', '.status.addresses[?(@.type=="InternalIP")].address', 'string', 1],
  ],
});

/** What the registry and the mesh read of the network, and the stored kinds beside them. */
/** Of the Gateway API's inference extension, whose definitions are not generated. */
const inferencePool = builtin({
  group: 'inference.networking.k8s.io',
  kind: 'InferencePool',
  shortNames: ['infpool'],
  behaviour: 'built',
  required: ['spec'],
  fields: {
    spec: object(
      {
        selector: object({ matchLabels: strings }, 'matchLabels'),
        targetPorts: { ...list(object({ number: port }, 'number')), minItems: 1, maxItems: 8 },
        appProtocol: withDefault(oneOf('http', 'kubernetes.io/h2c'), 'http'),
        endpointPickerRef: object(
          {
            group: withDefault(string, ''),
            kind: withDefault(string, 'Service'),
            name: string,
            port: object({ number: port }, 'number'),
            failureMode: withDefault(oneOf('FailOpen', 'FailClose'), 'FailClose'),
          },
          'name',
        ),
      },
      'selector',
      'targetPorts',
      'endpointPickerRef',
    ),
    status: openObject({ parents: list(anyObject) }),
  },
  columns: [['Picker', '.spec.endpointPickerRef.name']],
});

export const networkKinds: Kind[] = [
  service,
  endpoints,
  endpointSlice,
  ingress,
  ingressClass,
  inferencePool,
  networkPolicy,
  lease,
  node,
];

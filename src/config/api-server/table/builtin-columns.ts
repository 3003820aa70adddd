import { getAt, isObject } from '../../../kit/json.ts';
import type { Kind } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { certificateRequestState } from '../certificate-requests.ts';
import { ageOf, duration } from './age.ts';
import type { Column } from './column.ts';
import { endpointsText, sliceEndpoints, slicePorts } from './endpoint-cells.ts';
import { podReady, podRestarts, podStatus } from './pod-cells.ts';

type Cell = (object: ConfigObject, now: number) => unknown;

function column(
  name: string,
  cell: Cell,
  options: { type?: string; wide?: boolean; format?: string } = {},
): Column {
  return {
    name,
    type: options.type ?? 'string',
    format: options.format ?? '',
    description: '',
    priority: options.wide ? 1 : 0,
    cell,
  };
}

const name = column('Name', (object) => object.metadata.name, { format: 'name' });
const age = column('Age', (object, now) => ageOf(object.metadata.creationTimestamp, now));
const wide = { wide: true };
const integer = { type: 'integer' };

const text =
  (fallback: string, ...path: string[]): Cell =>
  (object) => {
    const value = getAt(object, ...path);
    return value === undefined || value === null || value === '' ? fallback : String(value);
  };

const number =
  (...path: string[]): Cell =>
  (object) =>
    Number(getAt(object, ...path) ?? 0);

const count =
  (...path: string[]): Cell =>
  (object) => {
    const value = getAt(object, ...path);
    return Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
  };

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function selectorText(selector: unknown): string {
  const labels = getAt(selector, 'matchLabels') ?? (getAt(selector, 'matchExpressions') ? {} : selector);
  if (!isObject(labels) || Object.keys(labels).length === 0) return '<none>';
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.map(([key, value]) => `${key}=${String(value)}`).join(',');
}

const selector = column('Selector', (object) => selectorText(getAt(object, 'spec', 'selector')), wide);

function containers(field: 'name' | 'image'): Cell {
  return (object) => {
    const all = list(getAt(object, 'spec', 'template', 'spec', 'containers'));
    return all.map((one) => String(getAt(one, field) ?? '')).join(',');
  };
}

const templateColumns = [
  column('Containers', containers('name'), wide),
  column('Images', containers('image'), wide),
  selector,
];

function servicePorts(object: ConfigObject): string {
  const ports = list(getAt(object, 'spec', 'ports')).map((port) => {
    const node = getAt(port, 'nodePort');
    return `${getAt(port, 'port')}${node ? `:${node}` : ''}/${getAt(port, 'protocol') ?? 'TCP'}`;
  });
  return ports.length === 0 ? '<none>' : ports.join(',');
}

function serviceExternal(object: ConfigObject): string {
  const type = getAt(object, 'spec', 'type') ?? 'ClusterIP';
  if (type === 'ExternalName') return String(getAt(object, 'spec', 'externalName') ?? '<none>');
  const ips = list(getAt(object, 'spec', 'externalIPs')).map(String);
  const balancer = list(getAt(object, 'status', 'loadBalancer', 'ingress')).map((one) =>
    String(getAt(one, 'ip') ?? getAt(one, 'hostname') ?? ''),
  );
  const all = type === 'LoadBalancer' ? [...balancer, ...ips] : ips;
  if (all.length > 0) return all.join(',');
  return type === 'LoadBalancer' ? '<pending>' : '<none>';
}

function nodeStatus(object: ConfigObject): string {
  const ready = list(getAt(object, 'status', 'conditions')).find((one) => getAt(one, 'type') === 'Ready');
  const status = ready ? (getAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady') : 'Unknown';
  return getAt(object, 'spec', 'unschedulable') === true ? `${status},SchedulingDisabled` : status;
}

function nodeRoles(object: ConfigObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(object.metadata.labels ?? {}).filter((key) => key.startsWith(prefix));
  return roles.length === 0 ? '<none>' : roles.map((role) => role.slice(prefix.length)).join(',');
}

function jobDuration(object: ConfigObject, now: number): string {
  const start = Date.parse(String(getAt(object, 'status', 'startTime')));
  if (Number.isNaN(start)) return '';
  const end = Date.parse(String(getAt(object, 'status', 'completionTime')));
  return duration((Number.isNaN(end) ? now : end) - start);
}

function jobCompletions(object: ConfigObject): string {
  return `${getAt(object, 'status', 'succeeded') ?? 0}/${getAt(object, 'spec', 'completions') ?? 1}`;
}

function jobStatus(object: ConfigObject): string {
  const found = list(getAt(object, 'status', 'conditions')).find((one) => getAt(one, 'status') === 'True');
  const type = getAt(found, 'type');
  return type === 'Complete' || type === 'Failed' || type === 'Suspended' ? type : 'Running';
}

function eventObject(object: ConfigObject): string {
  const subject = object.involvedObject ?? object.regarding;
  const kind = String(getAt(subject, 'kind') ?? '').toLowerCase();
  return `${kind}/${getAt(subject, 'name') ?? ''}`;
}

function eventSeen(object: ConfigObject, now: number): string {
  const last = object.lastTimestamp ?? getAt(object, 'series', 'lastObservedTime') ?? object.eventTime;
  return ageOf(last ?? object.metadata.creationTimestamp, now);
}

function roleReference(object: ConfigObject): string {
  return `${getAt(object, 'roleRef', 'kind')}/${getAt(object, 'roleRef', 'name')}`;
}

function subjects(kind: string): Cell {
  return (object) =>
    list(object.subjects)
      .filter((one) => getAt(one, 'kind') === kind)
      .map((one) =>
        kind === 'ServiceAccount' ? `${getAt(one, 'namespace')}/${getAt(one, 'name')}` : getAt(one, 'name'),
      )
      .join(', ');
}

function lastOf(values: unknown): string {
  const text = list(values).map(String);
  return text.length <= 3
    ? text.join(',') || '*'
    : `${text.slice(0, 3).join(',')} + ${text.length - 3} more...`;
}

const bindingColumns = [
  column('Role', roleReference),
  age,
  column('Users', subjects('User'), wide),
  column('Groups', subjects('Group'), wide),
  column('ServiceAccounts', subjects('ServiceAccount'), wide),
];

const tables: Record<string, Column[]> = {
  '/Pod': [
    name,
    column('Ready', podReady),
    column('Status', podStatus),
    column('Restarts', podRestarts),
    age,
    column('IP', text('<none>', 'status', 'podIP'), wide),
    column('Node', text('<none>', 'spec', 'nodeName'), wide),
    column('Nominated Node', text('<none>', 'status', 'nominatedNodeName'), wide),
    column('Readiness Gates', () => '<none>', wide),
  ],
  '/Service': [
    name,
    column('Type', text('ClusterIP', 'spec', 'type')),
    column('Cluster-IP', text('<none>', 'spec', 'clusterIP')),
    column('External-IP', serviceExternal),
    column('Port(s)', servicePorts),
    age,
    selector,
  ],
  '/Namespace': [name, column('Status', text('Active', 'status', 'phase')), age],
  '/Node': [
    name,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    age,
    column('Version', text('', 'status', 'nodeInfo', 'kubeletVersion')),
    column('OS-Image', text('<unknown>', 'status', 'nodeInfo', 'osImage'), wide),
  ],
  'certificates.k8s.io/CertificateSigningRequest': [
    name,
    age,
    column('SignerName', text('<none>', 'spec', 'signerName')),
    column('Requestor', text('', 'spec', 'username')),
    column('RequestedDuration', (object) => {
      const seconds = getAt(object, 'spec', 'expirationSeconds');
      return typeof seconds === 'number' ? duration(seconds * 1000) : '<none>';
    }),
    column('Condition', certificateRequestState),
  ],
  '/ConfigMap': [
    name,
    column(
      'Data',
      (object) => Number(count('data')(object, 0)) + Number(count('binaryData')(object, 0)),
      integer,
    ),
    age,
  ],
  '/Secret': [name, column('Type', text('Opaque', 'type')), column('Data', count('data'), integer), age],
  '/ServiceAccount': [name, column('Secrets', count('secrets'), integer), age],
  '/Endpoints': [name, column('Endpoints', endpointsText), age],
  'discovery.k8s.io/EndpointSlice': [
    name,
    column('AddressType', text('', 'addressType')),
    column('Ports', slicePorts),
    column('Endpoints', sliceEndpoints),
    age,
  ],
  '/Event': [
    column('Last Seen', eventSeen),
    column('Type', text('', 'type')),
    column('Reason', text('', 'reason')),
    column('Object', eventObject),
    column('Subobject', text('', 'involvedObject', 'fieldPath'), wide),
    column('Source', text('', 'source', 'component'), wide),
    column('Message', (object) => String(object.message ?? object.note ?? '').trim()),
    column('Count', number('count'), { ...integer, wide: true }),
    column('Name', (object) => object.metadata.name, wide),
  ],
  'coordination.k8s.io/Lease': [name, column('Holder', text('', 'spec', 'holderIdentity')), age],
  'apps/Deployment': [
    name,
    column(
      'Ready',
      (o) => `${getAt(o, 'status', 'readyReplicas') ?? 0}/${getAt(o, 'spec', 'replicas') ?? 1}`,
    ),
    column('Up-to-date', number('status', 'updatedReplicas'), integer),
    column('Available', number('status', 'availableReplicas'), integer),
    age,
    ...templateColumns,
  ],
  'apps/ReplicaSet': [
    name,
    column('Desired', number('spec', 'replicas'), integer),
    column('Current', number('status', 'replicas'), integer),
    column('Ready', number('status', 'readyReplicas'), integer),
    age,
    ...templateColumns,
  ],
  'apps/StatefulSet': [
    name,
    column(
      'Ready',
      (o) => `${getAt(o, 'status', 'readyReplicas') ?? 0}/${getAt(o, 'spec', 'replicas') ?? 1}`,
    ),
    age,
    ...templateColumns.slice(0, 2),
  ],
  'apps/DaemonSet': [
    name,
    column('Desired', number('status', 'desiredNumberScheduled'), integer),
    column('Current', number('status', 'currentNumberScheduled'), integer),
    column('Ready', number('status', 'numberReady'), integer),
    column('Up-to-date', number('status', 'updatedNumberScheduled'), integer),
    column('Available', number('status', 'numberAvailable'), integer),
    column('Node Selector', (o) => selectorText(getAt(o, 'spec', 'template', 'spec', 'nodeSelector'))),
    age,
    ...templateColumns,
  ],
  'batch/Job': [
    name,
    column('Status', jobStatus),
    column('Completions', jobCompletions),
    column('Duration', jobDuration),
    age,
    ...templateColumns,
  ],
  'batch/CronJob': [
    name,
    column('Schedule', text('', 'spec', 'schedule')),
    column('Timezone', text('<none>', 'spec', 'timeZone')),
    column('Suspend', (o) => (getAt(o, 'spec', 'suspend') === true ? 'True' : 'False')),
    column('Active', count('status', 'active'), integer),
    column('Last Schedule', (o, now) => {
      const last = getAt(o, 'status', 'lastScheduleTime');
      return last ? ageOf(last, now) : '<none>';
    }),
    age,
  ],
  'autoscaling/HorizontalPodAutoscaler': [
    name,
    column(
      'Reference',
      (o) => `${getAt(o, 'spec', 'scaleTargetRef', 'kind')}/${getAt(o, 'spec', 'scaleTargetRef', 'name')}`,
    ),
    column('MinPods', text('<unset>', 'spec', 'minReplicas')),
    column('MaxPods', number('spec', 'maxReplicas'), integer),
    column('Replicas', number('status', 'currentReplicas'), integer),
    age,
  ],
  'policy/PodDisruptionBudget': [
    name,
    column('Min Available', text('N/A', 'spec', 'minAvailable')),
    column('Max Unavailable', text('N/A', 'spec', 'maxUnavailable')),
    column('Allowed Disruptions', number('status', 'disruptionsAllowed'), integer),
    age,
  ],
  'networking.k8s.io/Ingress': [
    name,
    column('Class', text('<none>', 'spec', 'ingressClassName')),
    column('Hosts', (o) => lastOf(list(getAt(o, 'spec', 'rules')).map((rule) => getAt(rule, 'host') ?? '*'))),
    column('Address', (o) =>
      list(getAt(o, 'status', 'loadBalancer', 'ingress'))
        .map((one) => getAt(one, 'ip') ?? getAt(one, 'hostname'))
        .join(','),
    ),
    column('Ports', (o) => (list(getAt(o, 'spec', 'tls')).length > 0 ? '80, 443' : '80')),
    age,
  ],
  'networking.k8s.io/NetworkPolicy': [
    name,
    column('Pod-Selector', (o) => selectorText(getAt(o, 'spec', 'podSelector'))),
    age,
  ],
  'rbac.authorization.k8s.io/Role': [name, column('Created At', text('', 'metadata', 'creationTimestamp'))],
  'rbac.authorization.k8s.io/ClusterRole': [
    name,
    column('Created At', text('', 'metadata', 'creationTimestamp')),
  ],
  'rbac.authorization.k8s.io/RoleBinding': [name, ...bindingColumns],
  'rbac.authorization.k8s.io/ClusterRoleBinding': [name, ...bindingColumns],
  'apiextensions.k8s.io/CustomResourceDefinition': [
    name,
    column('Created At', text('', 'metadata', 'creationTimestamp')),
  ],
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration': [
    name,
    column('Webhooks', count('webhooks'), integer),
    age,
  ],
  'admissionregistration.k8s.io/MutatingWebhookConfiguration': [
    name,
    column('Webhooks', count('webhooks'), integer),
    age,
  ],
};

export function builtinColumns(kind: Kind): Column[] | undefined {
  return tables[`${kind.group}/${kind.kind}`];
}

import type { ConfigObject } from '../object.ts';
import { allAuthenticated, allUnauthenticated, mastersGroup, type PolicyRule } from './user.ts';

const group = 'rbac.authorization.k8s.io';
/** Agents of workloads prove membership of this group by their credential. */
export const agentsGroup = 'ostria:agents';

const read = ['get', 'list', 'watch'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const all = [...read, ...write];

const meshGroups = [
  'networking.istio.io',
  'security.istio.io',
  'telemetry.istio.io',
  'extensions.istio.io',
  'gateway.networking.k8s.io',
  'gateway.networking.x-k8s.io',
];

/** Namespaced kinds of Kubernetes' own that editors may write; viewers read these and their status. */
const editable: readonly [group: string, resources: string[]][] = [
  [
    '',
    [
      'configmaps',
      'endpoints',
      'events',
      'limitranges',
      'persistentvolumeclaims',
      'pods',
      'podtemplates',
      'replicationcontrollers',
      'resourcequotas',
      'serviceaccounts',
      'services',
    ],
  ],
  ['apps', ['controllerrevisions', 'daemonsets', 'deployments', 'replicasets', 'statefulsets']],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['batch', ['cronjobs', 'jobs']],
  ['coordination.k8s.io', ['leases']],
  ['discovery.k8s.io', ['endpointslices']],
  ['events.k8s.io', ['events']],
  ['networking.k8s.io', ['ingresses', 'networkpolicies']],
  ['policy', ['poddisruptionbudgets']],
];

const viewRules: PolicyRule[] = [
  ...editable.map(([apiGroup, resources]) => ({
    apiGroups: [apiGroup],
    resources: [...resources, ...resources.map((one) => `${one}/status`)],
    verbs: read,
  })),
  { apiGroups: [''], resources: ['namespaces'], verbs: read },
  { apiGroups: meshGroups, resources: ['*'], verbs: read },
];

const editRules: PolicyRule[] = [
  ...editable.map(([apiGroup, resources]) => ({ apiGroups: [apiGroup], resources, verbs: write })),
  { apiGroups: [''], resources: ['secrets'], verbs: all },
  { apiGroups: [''], resources: ['serviceaccounts/token', 'pods/portforward'], verbs: ['create'] },
  { apiGroups: meshGroups, resources: ['*'], verbs: write },
];

const adminRules: PolicyRule[] = [
  { apiGroups: [group], resources: ['roles', 'rolebindings'], verbs: all },
  { apiGroups: ['authorization.k8s.io'], resources: ['localsubjectaccessreviews'], verbs: ['create'] },
];

const discoveryUrls = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/openapi',
  '/openapi/*',
  '/version',
  '/version/',
  '/healthz',
  '/livez',
  '/readyz',
];
const publicUrls = ['/healthz', '/livez', '/readyz', '/version', '/version/'];

const agentRules: PolicyRule[] = [
  { apiGroups: [''], resources: ['services', 'endpoints', 'pods', 'nodes', 'namespaces'], verbs: read },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
  { apiGroups: ['networking.istio.io'], resources: ['workloadentries', 'workloadgroups'], verbs: read },
  {
    apiGroups: ['networking.istio.io'],
    resources: ['workloadentries/status'],
    verbs: ['get', 'patch', 'update'],
  },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch', 'update'] },
];

type Aggregated = 'admin' | 'edit' | 'view';

function aggregateLabel(role: Aggregated): string {
  return `rbac.authorization.k8s.io/aggregate-to-${role}`;
}

/** The cluster roles and bindings that are always there. Roles named as in Kubernetes hold what people expect of them. */
export function builtInRoles(): ConfigObject[] {
  return [
    role('cluster-admin', [
      { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], nonResourceURLs: ['*'] },
    ]),
    aggregating('admin'),
    aggregating('edit'),
    aggregating('view'),
    role('system:aggregate-to-admin', adminRules, ['admin']),
    role('system:aggregate-to-edit', editRules, ['edit', 'admin']),
    role('system:aggregate-to-view', viewRules, ['view', 'edit', 'admin']),
    role('system:discovery', [{ verbs: ['get'], nonResourceURLs: discoveryUrls }]),
    role('system:public-info-viewer', [{ verbs: ['get'], nonResourceURLs: publicUrls }]),
    role('system:basic-user', [
      {
        verbs: ['create'],
        apiGroups: ['authorization.k8s.io'],
        resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
      },
      { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
    ]),
    role('ostria:agent', agentRules),
    clusterBinding('cluster-admin', 'cluster-admin', [groupSubject(mastersGroup)]),
    clusterBinding('system:discovery', 'system:discovery', [groupSubject(allAuthenticated)]),
    clusterBinding('system:basic-user', 'system:basic-user', [groupSubject(allAuthenticated)]),
    clusterBinding('system:public-info-viewer', 'system:public-info-viewer', [
      groupSubject(allAuthenticated),
      groupSubject(allUnauthenticated),
    ]),
    clusterBinding('ostria:agent', 'ostria:agent', [groupSubject(agentsGroup)]),
  ];
}

function bootstrapMetadata(name: string, labels: Record<string, string> = {}): ConfigObject['metadata'] {
  return {
    name,
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
  };
}

function role(name: string, rules: PolicyRule[], aggregateTo: Aggregated[] = []): ConfigObject {
  const labels = Object.fromEntries(aggregateTo.map((one) => [aggregateLabel(one), 'true']));
  return { apiVersion: `${group}/v1`, kind: 'ClusterRole', metadata: bootstrapMetadata(name, labels), rules };
}

function aggregating(name: Aggregated): ConfigObject {
  return {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRole',
    metadata: bootstrapMetadata(name),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateLabel(name)]: 'true' } }] },
    rules: [],
  };
}

interface Subject {
  kind: 'User' | 'Group' | 'ServiceAccount';
  name: string;
  namespace?: string;
  apiGroup?: string;
}

function groupSubject(name: string): Subject {
  return { kind: 'Group', name, apiGroup: group };
}

function clusterBinding(name: string, clusterRole: string, subjects: Subject[]): ConfigObject {
  return {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: bootstrapMetadata(name),
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: clusterRole },
    subjects,
  };
}

/** The roles that people are given: `admin` of everything, `editor` of a namespace, `viewer`, `agent` of a workload. */
export type GrantedRole = 'admin' | 'editor' | 'viewer' | 'agent';

const clusterRoleOf: Record<GrantedRole, string> = {
  admin: 'cluster-admin',
  editor: 'edit',
  viewer: 'view',
  agent: 'ostria:agent',
};

/** The binding that gives a role to a subject: in one namespace, or everywhere when `namespace` is absent. */
export function bindingFor(grant: { role: GrantedRole; subject: Subject; namespace?: string }): ConfigObject {
  const { role: granted, subject, namespace } = grant;
  const cleaned = `${subject.kind}-${subject.namespace === undefined ? '' : `${subject.namespace}-`}${subject.name}`;
  const name = `ostria:${granted}:${cleaned.replaceAll(/[/%]/g, '-')}`;
  return {
    apiVersion: `${group}/v1`,
    kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: clusterRoleOf[granted] },
    subjects: [subject.kind === 'ServiceAccount' ? subject : { ...subject, apiGroup: group }],
  };
}

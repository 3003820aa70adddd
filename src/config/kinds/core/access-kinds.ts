import type { Kind } from '../../kind.ts';
import { validateCrd } from '../crd.ts';
import { builtin } from './define.ts';
import {
  anyObject,
  boolean,
  bytes,
  conditions,
  int32,
  list,
  mapList,
  object,
  openObject,
  string,
} from './schema-builder.ts';

const RBAC = 'rbac.authorization.k8s.io';

const rules = list(
  object(
    {
      apiGroups: list(string),
      resources: list(string),
      verbs: list(string),
      resourceNames: list(string),
      nonResourceURLs: list(string),
    },
    'verbs',
  ),
);

const binding = {
  roleRef: object({ apiGroup: string, kind: string, name: string }, 'kind', 'name'),
  subjects: list(object({ apiGroup: string, kind: string, name: string, namespace: string }, 'kind', 'name')),
};

const clientConfig = object({
  url: string,
  caBundle: bytes,
  service: object({ name: string, namespace: string, path: string, port: int32 }, 'name', 'namespace'),
});

const webhook = openObject(
  {
    name: string,
    clientConfig,
    admissionReviewVersions: list(string),
    failurePolicy: string,
    sideEffects: string,
  },
  'name',
  'clientConfig',
);

const webhookConfiguration = (kind: string) =>
  builtin({
    group: 'admissionregistration.k8s.io',
    kind,
    clusterScoped: true,
    fields: { webhooks: mapList(['name'], webhook) },
    columns: [['Webhooks', '.webhooks[*].name']],
  });

const admissionPolicy = (kind: string, plural: string) =>
  builtin({
    group: 'admissionregistration.k8s.io',
    kind,
    plural,
    clusterScoped: true,
    fields: { spec: anyObject, status: anyObject },
  });

/** A schema inside a CRD is checked by `validateCrd`, not by a schema of its own. */
const crdVersion = openObject(
  {
    name: string,
    served: boolean,
    storage: boolean,
    deprecated: boolean,
    deprecationWarning: string,
    schema: object({ openAPIV3Schema: anyObject }),
    subresources: openObject({ status: anyObject, scale: anyObject }),
    additionalPrinterColumns: list(
      object(
        {
          name: string,
          type: string,
          jsonPath: string,
          format: string,
          priority: int32,
          description: string,
        },
        'name',
        'type',
        'jsonPath',
      ),
    ),
    selectableFields: list(object({ jsonPath: string }, 'jsonPath')),
  },
  'name',
  'served',
  'storage',
);

const crdNames = object(
  {
    kind: string,
    listKind: string,
    plural: string,
    singular: string,
    shortNames: list(string),
    categories: list(string),
  },
  'kind',
  'plural',
);

const customResourceDefinition = builtin({
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  shortNames: ['crd', 'crds'],
  clusterScoped: true,
  behaviour: 'built',
  required: ['spec'],
  validate: validateCrd,
  fields: {
    spec: object(
      {
        group: string,
        names: crdNames,
        scope: { type: 'string', enum: ['Namespaced', 'Cluster'] },
        versions: list(crdVersion),
        conversion: openObject({ strategy: string, webhook: anyObject }),
        preserveUnknownFields: boolean,
      },
      'group',
      'names',
      'scope',
      'versions',
    ),
    status: openObject({ acceptedNames: anyObject, conditions, storedVersions: list(string) }),
  },
  columns: [],
});

/** Who may do what, and the kinds that change the API itself. */
export const accessKinds: Kind[] = [
  builtin({ group: RBAC, kind: 'Role', behaviour: 'built', fields: { rules } }),
  builtin({
    group: RBAC,
    kind: 'ClusterRole',
    behaviour: 'built',
    clusterScoped: true,
    fields: { rules, aggregationRule: anyObject },
  }),
  builtin({
    group: RBAC,
    kind: 'RoleBinding',
    behaviour: 'built',
    required: ['roleRef'],
    fields: binding,
    columns: [['Role', '.roleRef.name']],
  }),
  builtin({
    group: RBAC,
    kind: 'ClusterRoleBinding',
    behaviour: 'built',
    clusterScoped: true,
    required: ['roleRef'],
    fields: binding,
    columns: [['Role', '.roleRef.name']],
  }),
  webhookConfiguration('ValidatingWebhookConfiguration'),
  webhookConfiguration('MutatingWebhookConfiguration'),
  admissionPolicy('ValidatingAdmissionPolicy', 'validatingadmissionpolicies'),
  admissionPolicy('ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings'),
  customResourceDefinition,
  builtin({
    group: 'apiregistration.k8s.io',
    kind: 'APIService',
    clusterScoped: true,
    fields: { spec: anyObject, status: anyObject },
    columns: [['Service', '.spec.service.name']],
  }),
  builtin({
    group: 'certificates.k8s.io',
    kind: 'CertificateSigningRequest',
    shortNames: ['csr'],
    clusterScoped: true,
    behaviour: 'built',
    fields: {
      spec: openObject({
        request: bytes,
        signerName: string,
        usages: list(string),
        expirationSeconds: int32,
        username: string,
        uid: string,
        extra: anyObject,
        groups: list(string),
      }),
      status: openObject({ certificate: bytes, conditions }),
    },
    columns: [['SignerName', '.spec.signerName']],
  }),
];

const extra = { type: 'object', additionalProperties: list(string) };
const attributes = openObject({
  namespace: string,
  verb: string,
  group: string,
  version: string,
  resource: string,
  subresource: string,
  name: string,
});
const accessReview = {
  resourceAttributes: attributes,
  nonResourceAttributes: object({ path: string, verb: string }),
};
const subjectReview = { ...accessReview, user: string, groups: list(string), uid: string, extra };

function review(group: string, kind: string, spec: Parameters<typeof object>[0], clusterScoped = true): Kind {
  return builtin({
    group: `${group}.k8s.io`,
    kind,
    clusterScoped,
    behaviour: 'built',
    fields: { spec: object(spec), status: anyObject },
    statusSubresource: false,
    columns: [],
  });
}

/** Questions rather than objects: created, answered, never kept. */
export const reviewKinds: Kind[] = [
  review('authorization', 'SelfSubjectAccessReview', accessReview),
  review('authorization', 'SubjectAccessReview', subjectReview),
  review('authorization', 'LocalSubjectAccessReview', subjectReview, false),
  review('authorization', 'SelfSubjectRulesReview', { namespace: string }),
  review('authentication', 'TokenReview', { token: string, audiences: list(string) }),
  review('authentication', 'SelfSubjectReview', {}),
  {
    ...builtin({
      group: 'authentication.k8s.io',
      kind: 'TokenRequest',
      plural: 'token',
      behaviour: 'built',
      fields: {
        spec: object({
          audiences: list(string),
          expirationSeconds: { type: 'integer', format: 'int64' },
          boundObjectRef: openObject({ kind: string, apiVersion: string, name: string, uid: string }),
        }),
        status: object({ token: string, expirationTimestamp: string }),
      },
      statusSubresource: false,
    }),
  },
];

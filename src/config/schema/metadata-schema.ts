import type { SchemaNode } from './schema-node.ts';

const string: SchemaNode = { type: 'string' };
const time: SchemaNode = { type: 'string', format: 'date-time', nullable: true };
const strings: SchemaNode = { type: 'object', additionalProperties: string };

/** `metadata` of every object (Kubernetes' ObjectMeta v1), with what server-side apply and strategic merge need. */
export const metadataSchema: SchemaNode = {
  type: 'object',
  properties: {
    name: string,
    generateName: string,
    namespace: string,
    uid: string,
    resourceVersion: string,
    generation: { type: 'integer', format: 'int64' },
    creationTimestamp: time,
    deletionTimestamp: time,
    deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
    selfLink: string,
    labels: strings,
    annotations: strings,
    finalizers: {
      type: 'array',
      items: string,
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-patch-strategy': 'merge',
    },
    ownerReferences: {
      type: 'array',
      items: {
        type: 'object',
        required: ['apiVersion', 'kind', 'name', 'uid'],
        'x-kubernetes-map-type': 'atomic',
        properties: {
          apiVersion: string,
          kind: string,
          name: string,
          uid: string,
          controller: { type: 'boolean' },
          blockOwnerDeletion: { type: 'boolean' },
        },
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'uid',
    },
    managedFields: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          manager: string,
          operation: string,
          apiVersion: string,
          time,
          fieldsType: string,
          fieldsV1: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          subresource: string,
        },
      },
      'x-kubernetes-list-type': 'atomic',
    },
  },
};

/** The fields that every object has at its root, whatever its kind's schema says. */
export const rootProperties: Record<string, SchemaNode> = {
  apiVersion: string,
  kind: string,
  metadata: metadataSchema,
};

import type { GatewayAllowedListenersNamespacesSelector } from '../../../../gen/crd/types/gateway-api/gateway.ts';
import { selectsLabels } from '../../../kit/labels.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { namespaceKind } from './kinds.ts';

/** Which namespaces something is open to, seen from the namespace that opens it. */
export interface AllowedNamespaces {
  readonly from?: string;
  readonly selector?: GatewayAllowedListenersNamespacesSelector;
}

const labelsOf = defineQuery(
  'gateway-api.namespace-labels',
  (view, namespace: Key): Readonly<Record<string, string>> => ({
    // Kubernetes puts this label on every namespace; a mesh without Namespace objects has them all the same.
    'kubernetes.io/metadata.name': namespace,
    ...view.get(namespaceKind, `/${namespace}`)?.metadata.labels,
  }),
);

export function namespaceAllowed(
  view: View,
  allowed: AllowedNamespaces | undefined,
  fallback: 'Same' | 'None',
  own: string,
  asking: string,
): boolean {
  switch (allowed?.from ?? fallback) {
    case 'All':
      return true;
    case 'Same':
      return own === asking;
    case 'Selector':
      return allowed?.selector !== undefined && selectsLabels(allowed.selector, view.call(labelsOf, asking));
    default:
      return false;
  }
}

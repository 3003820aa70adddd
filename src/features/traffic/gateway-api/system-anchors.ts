import type { PlacedFiles } from '../../../plan/file-secret.ts';
import { systemAnchors } from '../../../plan/system-trust.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { allBackendTlsPolicies, backendTlsPolicyKind, originIn } from './kinds.ts';

const trustsSystem = defineQuery('gateway-api.trusts-system', (view, policy: Key): boolean => {
  const { caCertificateRefs, wellKnownCACertificates } =
    view.get(backendTlsPolicyKind, policy)?.spec?.validation ?? {};
  return !caCertificateRefs?.length && wellKnownCACertificates === 'System';
});

/** The machine's own anchors, where a BackendTLSPolicy asks for them. */
export const policyFiles = defineQuery('gateway-api.file-secrets', (view): readonly PlacedFiles[] => {
  const policy = view.list(allBackendTlsPolicies, '').find((key) => view.call(trustsSystem, key));
  return policy === undefined
    ? []
    : [{ ...systemAnchors, origin: originIn(`BackendTLSPolicy/${policy}`, 'spec.validation') }];
});

/** Who a workload is: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

// The SPIFFE ID specification's sets of characters, and Kubernetes' for the two names.
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const MAX_URI = 2_048;

export function formatSpiffeId(identity: WorkloadIdentity): string {
  return `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

/** Undefined unless `uri` is exactly of the form above: no port, query, empty or extra segment. */
export function parseSpiffeId(uri: string): WorkloadIdentity | undefined {
  if (uri.length > MAX_URI) return undefined;
  const match = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri);
  if (!match) return undefined;
  const identity = {
    trustDomain: match[1] as string,
    namespace: match[2] as string,
    serviceAccount: match[3] as string,
  };
  return isWorkloadIdentity(identity) ? identity : undefined;
}

export function isTrustDomain(name: unknown): name is string {
  return typeof name === 'string' && TRUST_DOMAIN.test(name);
}

/** True when every part holds only the characters it may. */
export function isWorkloadIdentity(identity: WorkloadIdentity): boolean {
  return (
    isTrustDomain(identity.trustDomain) &&
    NAME.test(identity.namespace) &&
    identity.namespace.length <= 63 &&
    NAME.test(identity.serviceAccount)
  );
}

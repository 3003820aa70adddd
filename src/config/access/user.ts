/** Who a request is from, as proved by a certificate or a token. */
export interface User {
  /** `alice`, `system:serviceaccount:ns:name`, … */
  name: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

/** What a request wants to do; Kubernetes' authorization attributes. */
export interface AccessAttributes {
  verb: string;
  /** Present for resource requests. */
  resource?: {
    group: string;
    version?: string;
    resource: string;
    subresource: string;
    namespace: string;
    name: string;
  };
  /** The path of a request that is not for a resource. */
  path?: string;
}

export interface AccessDecision {
  allowed: boolean;
  /** Which binding allowed it, or why nothing did. For people; never shown to the caller on denial beyond the standard words. */
  reason: string;
}

/** One rule of a role, as `rbac.authorization.k8s.io/v1` writes it. */
export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export const allAuthenticated = 'system:authenticated';
export const allUnauthenticated = 'system:unauthenticated';
export const allServiceAccounts = 'system:serviceaccounts';
/** Members may do everything, whatever the roles in the store say. */
export const mastersGroup = 'system:masters';

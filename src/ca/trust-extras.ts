import { createHash } from 'node:crypto';

/** What workloads trust, and distrust, beside the mesh's roots. */
export interface TrustExtras {
  /** PEM: lists of revoked certificates of the mesh's authority; '' for none. */
  readonly crl: string;
  /** Per trust domain, where it matters which roots speak for which domain; empty: the mesh's roots speak for all that is accepted. */
  readonly domains: readonly DomainTrust[];
}

export interface DomainTrust {
  readonly trustDomain: string;
  /** PEM of roots that speak for this trust domain alone. */
  readonly roots: string;
  /** The mesh's own roots speak for it too. */
  readonly meshRoots: boolean;
}

export const noExtras: TrustExtras = { crl: '', domains: [] };

/** How extras are named: equal ones have equal names. */
export function extrasHash({ crl, domains }: TrustExtras): string {
  const parts = domains.map(({ trustDomain, roots, meshRoots }) => [trustDomain, roots, meshRoots]);
  return createHash('sha256')
    .update(JSON.stringify([crl, parts]))
    .digest('hex')
    .slice(0, 32);
}

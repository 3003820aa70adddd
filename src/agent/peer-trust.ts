import type { TrustExtras } from '../ca/client.ts';
import type { TrustSecret } from './sds-messages.ts';

/** What peers' certificates must come from, and which of them count no more, as the secret that Envoy asks for. */
export function peerTrust(root: string, { crl, domains }: TrustExtras): TrustSecret {
  return {
    name: 'ROOTCA',
    trustedRoots: root,
    ...(crl === '' ? {} : { crl }),
    domains: domains.map(({ trustDomain, roots, meshRoots }) => ({
      trustDomain,
      roots: meshRoots ? root + roots : roots,
    })),
  };
}

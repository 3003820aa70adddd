import { createPublicKey } from 'node:crypto';
import type { CertificateAuthority } from '../../../ca/authority.ts';
import { createKey } from '../../../ca/certificate-signing-request.ts';

/** A certificate (PEM, with what leads to the root) and its key. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** A new key, and a certificate of the run's own authority for it. */
export async function issuePair(authority: CertificateAuthority, identity: string): Promise<KeyPair> {
  const key = await createKey();
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const issued = await authority.issue({ publicKey, uris: [identity] });
  return { certificate: `${issued.certificate}${issued.intermediates}`, key };
}

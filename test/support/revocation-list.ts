import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { OpensslAuthority } from './authority.ts';

/** A list, in PEM, of certificates that their authority no longer stands for. */
export async function revocationList(
  authority: OpensslAuthority,
  revoked: readonly string[],
): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const pkcs8 = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' });
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']);
  const now = Date.now();
  const list = await x509.X509CrlGenerator.create(
    {
      issuer: new x509.X509Certificate(authority.certificate).subject,
      thisUpdate: new Date(now - 3_600_000),
      nextUpdate: new Date(now + 86_400_000),
      entries: revoked.map((pem) => ({
        serialNumber: new x509.X509Certificate(pem).serialNumber,
        revocationDate: new Date(now - 60_000),
        reason: x509.X509CrlReason.keyCompromise,
      })),
      signingAlgorithm: algorithm,
      signingKey: signingKey as never,
    },
    webcrypto as never,
  );
  // The label that openssl, and so Envoy, reads.
  return list.toString('pem').replaceAll(' CRL-', ' X509 CRL-');
}

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate with less than this left is not counted on: the agent may come up too late with it. */
const leastLeftMs = 60_000;

/** Whether an agent's directory holds a certificate of the trust domain with which it can renew by itself. */
export function agentHasCertificate(directory: string, trustDomain: string, now = Date.now()): boolean {
  try {
    const pem = readFileSync(join(directory, 'identity.pem'), 'utf8');
    const leaf = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(pem)?.[0] ?? '';
    const { validToDate, subjectAltName = '' } = new X509Certificate(leaf);
    return validToDate.getTime() - now > leastLeftMs && subjectAltName.includes(`spiffe://${trustDomain}/`);
  } catch {
    return false;
  }
}

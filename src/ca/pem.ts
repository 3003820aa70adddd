import { createHash } from 'node:crypto';

/** Splits a PEM file into its blocks of one label, each with a final newline. Text between blocks is dropped. */
export function pemBlocks(text: string, label = 'CERTIFICATE'): string[] {
  const block = new RegExp(`-----BEGIN ${label}-----[A-Za-z0-9+/=\\s]+-----END ${label}-----`, 'g');
  return (text.match(block) ?? []).map((pem) => `${pem.replace(/\r/g, '')}\n`);
}

/** The bytes of the first block of that label. */
export function pemToDer(text: string, label: string): Buffer | undefined {
  const [pem] = pemBlocks(text, label);
  return pem ? Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64') : undefined;
}

export function derToPem(der: Uint8Array, label: string): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

/** How a bundle is named: equal roots in equal order have equal names. */
export function bundleHash(pem: string): string {
  return createHash('sha256').update(pemBlocks(pem).join('')).digest('hex').slice(0, 32);
}

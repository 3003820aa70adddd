import { createHash } from 'node:crypto';

/** A short content hash for ETags and version hashes: 128 bits of SHA-256 in hex, upper case. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32).toUpperCase();
}

import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import type { SignatureVerifier } from '../../simulate/call.ts';

/** What a file of `--jwt` holds: a token as clients send it, or claims as JSON, which stand for a token that passes. */
export type TokenFile = { readonly token: string } | { readonly claims: Readonly<Record<string, unknown>> };

export function readTokenFile(path: string): TokenFile {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8').trim();
  } catch (error) {
    throw new CodedError('FileNotFound', `${path} cannot be read: ${messageOf(error)}`);
  }
  if (/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return { token: text };
  try {
    const claims = JSON.parse(text) as unknown;
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return { claims: claims as Record<string, unknown> };
  } catch {
    // Told below: it is neither.
  }
  throw new CodedError(
    'ObjectInvalid',
    `${path} holds neither a token (three parts with dots between) nor its claims as a JSON object`,
  );
}

const digests: Readonly<Record<string, string>> = { 256: 'sha256', 384: 'sha384', 512: 'sha512' };

/** Checks the signature of a token with the issuer's key, as far as Node knows the algorithm. */
export const verifySignature: SignatureVerifier = ({ algorithm, key, text, signature }) => {
  const data = Buffer.from(text);
  try {
    const publicKey = createPublicKey({ key: key as never, format: 'jwk' });
    if (algorithm === 'EdDSA') return verify(null, data, publicKey, signature);
    const digest = digests[algorithm.slice(2)];
    if (digest === undefined) return undefined;
    if (algorithm.startsWith('RS')) return verify(digest, data, publicKey, signature);
    if (algorithm.startsWith('ES'))
      return verify(digest, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
    return undefined;
  } catch {
    return undefined;
  }
};

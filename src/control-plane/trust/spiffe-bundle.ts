import { X509Certificate } from 'node:crypto';
import { derToPem } from '../../ca/pem.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { type GuardedFetchOptions, guardedFetch } from '../../kit/guarded-fetch.ts';

/** Roots of another trust domain, as its bundle endpoint tells them. */
export interface SpiffeBundle {
  /** PEM. */
  readonly roots: string;
  /** How often the endpoint wants to be asked, in seconds. */
  readonly refreshHint?: number;
}

const maxRoots = 100;

/**
 * Fetches a bundle by the `https_web` profile: a JSON Web Key Set whose keys for `x509-svid` carry a root each.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md
 */
export async function fetchSpiffeBundle(url: string, options: GuardedFetchOptions): Promise<SpiffeBundle> {
  if (!url.startsWith('https://')) throw useless(`${url}: a bundle is fetched over https:// alone`);
  return parseSpiffeBundle(await guardedFetch(url, options), url);
}

export function parseSpiffeBundle(body: Uint8Array, from: string): SpiffeBundle {
  let document: { keys?: unknown; spiffe_refresh_hint?: unknown };
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as typeof document;
  } catch {
    throw useless(`${from} answers no JSON`);
  }
  const keys = Array.isArray(document?.keys) ? (document.keys as Readonly<Record<string, unknown>>[]) : [];
  const roots = keys.filter((key) => key?.use === 'x509-svid').map((key) => rootOf(key, from));
  if (roots.length === 0) throw useless(`${from} holds no root for x509-svid`);
  if (roots.length > maxRoots) throw useless(`${from} holds more than ${maxRoots} roots`);
  const hint = document.spiffe_refresh_hint;
  return { roots: roots.join(''), ...(typeof hint === 'number' && hint > 0 ? { refreshHint: hint } : {}) };
}

/** Exactly one certificate per key. */
function rootOf({ x5c }: Readonly<Record<string, unknown>>, from: string): string {
  const [der, ...more] = Array.isArray(x5c) ? (x5c as unknown[]) : [];
  try {
    if (typeof der !== 'string' || more.length > 0) throw new Error();
    const pem = derToPem(Buffer.from(der, 'base64'), 'CERTIFICATE');
    if (new X509Certificate(pem).ca) return pem;
  } catch {
    // Told below.
  }
  throw useless(`${from} has a key for x509-svid without exactly one root certificate in x5c`);
}

/** Our own bundle, for others. PEM in, the document out. */
export function writeSpiffeBundle(roots: readonly string[], refreshSeconds: number): Record<string, unknown> {
  return {
    keys: roots.map((pem) => {
      const certificate = new X509Certificate(pem);
      return {
        ...certificate.publicKey.export({ format: 'jwk' }),
        use: 'x509-svid',
        x5c: [certificate.raw.toString('base64')],
      };
    }),
    spiffe_refresh_hint: refreshSeconds,
  };
}

function useless(message: string): CodedError {
  return new CodedError('BundleUseless', message);
}

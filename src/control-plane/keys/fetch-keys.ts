import type { KeySource } from '../../features/security/request-authentication/schema.ts';
import { usableKeys } from '../../features/security/request-authentication/usable-keys.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { type GuardedFetchOptions, guardedFetch } from '../../kit/guarded-fetch.ts';
import { isObject } from '../../kit/json.ts';

/** Keys taken from one set; more are refused. */
const maxKeys = 100;

/**
 * Fetches a JSON Web Key Set, for a source without its URL by the issuer's discovery document. The text that it resolves with
 * holds public parts only. Throws a CodedError.
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html
 */
export async function fetchKeys(
  source: Exclude<KeySource, { type: 'inline' }>,
  options: GuardedFetchOptions,
): Promise<string> {
  const url = source.type === 'url' ? source.url : await discoverKeyUrl(source.issuer, options);
  const set = parse(await guardedFetch(url, options), url);
  if (!Array.isArray(set.keys)) throw useless(`${url} holds no key set: it needs a list named keys`);
  if (set.keys.length > maxKeys) throw useless(`${url} holds more than ${maxKeys} keys`);
  const keys = usableKeys(JSON.stringify({ keys: set.keys.filter(isNoSecret) }));
  if (keys === undefined) throw useless(`${url} holds no public key that can verify a signature`);
  return keys;
}

async function discoverKeyUrl(issuer: string, options: GuardedFetchOptions): Promise<string> {
  const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
  const document = parse(await guardedFetch(url, options), url);
  if (document.issuer !== issuer)
    throw useless(`${url} speaks for the issuer ${JSON.stringify(document.issuer)}, not for ${issuer}`);
  if (typeof document.jwks_uri !== 'string') throw useless(`${url} names no jwks_uri`);
  return document.jwks_uri;
}

type Json = Readonly<Record<string, unknown>>;

function parse(body: Uint8Array, url: string): Json {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown;
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw useless(`${url} answers no JSON object`);
}

/** Whoever can fetch a shared secret could sign with it. */
function isNoSecret(key: unknown): boolean {
  return isObject(key) && key.kty !== 'oct';
}

function useless(message: string): CodedError {
  return new CodedError('KeysUseless', message);
}

import type { JwtProvider } from '../../gen/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { isObject } from '../kit/json.ts';
import type { SignatureVerifier } from './call.ts';

type Json = Readonly<Record<string, unknown>>;

/** A signed token (JWS) taken apart. */
interface Token {
  readonly header: Json;
  readonly claims: Json;
  /** Header and payload as they travel. */
  readonly text: string;
  readonly signature: Uint8Array;
}

/**
 * Why a token is refused, in the words of Envoy's answer. Its response code details say the same.
 * @see https://github.com/google/jwt_verify_lib (status.h)
 */
export const tokenFailures = {
  missing: 'Jwt is missing',
  format: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  headerEncoding: 'Jwt header is an invalid Base64url encoded',
  headerJson: 'Jwt header is an invalid JSON',
  algorithm: 'Jwt header [alg] field is required and must be a string',
  otherAlgorithm: 'Jwt header [alg] is not supported',
  keyId: 'Jwt header [kid] field is not a string',
  payloadEncoding: 'Jwt payload is an invalid Base64url encoded',
  payloadJson: 'Jwt payload is an invalid JSON',
  signatureEncoding: 'Jwt signature is an invalid Base64url encoded',
  early: 'Jwt not yet valid',
  expired: 'Jwt is expired',
  issuer: 'Jwt issuer is not configured',
  audience: 'Audiences in Jwt are not allowed',
  key: "Jwks doesn't have key to match kid or alg from Jwt",
  signature: 'Jwt verification fails',
  noKeys: 'Jwks remote fetch is failed',
} as const;

export type TokenFailure = (typeof tokenFailures)[keyof typeof tokenFailures];

const algorithms = /^((ES|HS|RS|PS)(256|384|512)|EdDSA)$/;

/** Envoy's decoder passes over white space, and takes padding or goes without. */
function bytesOf(text: string): Uint8Array | undefined {
  const plain = text.replace(/\s/g, '').replace(/={1,2}$/, '');
  if (!/^[\w-]*$/.test(plain)) return undefined;
  try {
    return Uint8Array.from(atob(plain.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function jsonOf(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function parseToken(token: string): Token | TokenFailure {
  const parts = token.split('.');
  if (parts.length !== 3) return tokenFailures.format;
  const [headerText = '', payloadText = '', signatureText = ''] = parts;
  const headerBytes = bytesOf(headerText);
  if (!headerBytes) return tokenFailures.headerEncoding;
  const header = jsonOf(headerBytes);
  if (!header) return tokenFailures.headerJson;
  if (typeof header.alg !== 'string') return tokenFailures.algorithm;
  if (!algorithms.test(header.alg)) return tokenFailures.otherAlgorithm;
  if (header.kid !== undefined && typeof header.kid !== 'string') return tokenFailures.keyId;
  const payload = bytesOf(payloadText);
  if (!payload) return tokenFailures.payloadEncoding;
  const claims = jsonOf(payload);
  if (!claims) return tokenFailures.payloadJson;
  const signature = bytesOf(signatureText);
  if (!signature) return tokenFailures.signatureEncoding;
  return { header, claims, text: `${headerText}.${payloadText}`, signature };
}

/** What a check of a token came to. */
export interface CheckedToken {
  readonly claims?: Json;
  readonly failure?: TokenFailure;
  /** Nobody looked at the signature. */
  readonly unverified?: boolean;
}

const defaultSkewSeconds = 60;

/** In Envoy's order: form, issuer, time, audience, key, signature. `now` in milliseconds since 1970; without it time is not looked at. */
export function checkToken(
  text: string,
  provider: JwtProvider,
  { now, verify }: { readonly now?: number; readonly verify?: SignatureVerifier },
): CheckedToken {
  const token = parseToken(text);
  if (typeof token === 'string') return { failure: token };
  const { claims } = token;
  if (provider.issuer !== '' && claims.iss !== provider.issuer) return { failure: tokenFailures.issuer };
  const late = now === undefined ? undefined : untimely(claims, now / 1000, provider.clockSkewSeconds);
  if (late) return { failure: late };
  if (!isForAudience(claims.aud, provider.audiences)) return { failure: tokenFailures.audience };
  return checkSignature(token, provider, verify);
}

function untimely(claims: Json, seconds: number, skew: number): TokenFailure | undefined {
  const slack = skew || defaultSkewSeconds;
  const [from, until] = [Number(claims.nbf ?? 0), Number(claims.exp ?? 0)];
  if (from > seconds + slack) return tokenFailures.early;
  return until !== 0 && seconds > until + slack ? tokenFailures.expired : undefined;
}

/** Whether one of a token's audiences is accepted; an empty list accepts all. */
export function isForAudience(claim: unknown, accepted: readonly string[]): boolean {
  if (accepted.length === 0) return true;
  const plain = (audience: string) => audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
  const own = (Array.isArray(claim) ? claim : [claim]).filter((one) => typeof one === 'string').map(plain);
  return accepted.some((audience) => own.includes(plain(audience)));
}

function checkSignature(
  { header, claims, text, signature }: Token,
  { jwksSourceSpecifier: source }: JwtProvider,
  verify: SignatureVerifier | undefined,
): CheckedToken {
  if (source.case !== 'localJwks') {
    // Where no keys are known, the place to fetch them from leads nowhere.
    const nowhere = source.case === 'remoteJwks' && source.value.httpUri?.uri === 'http://no-keys/';
    return nowhere ? { failure: tokenFailures.noKeys } : { claims, unverified: true };
  }
  const { specifier } = source.value;
  const set =
    specifier.case === 'inlineString' ? jsonOf(new TextEncoder().encode(specifier.value)) : undefined;
  const keys = (Array.isArray(set?.keys) ? set.keys : []) as Json[];
  const fitting = keys.filter(
    ({ kid, alg }) =>
      (!header.kid || !kid || kid === header.kid) && (alg === undefined || alg === header.alg),
  );
  if (fitting.length === 0) return { failure: tokenFailures.key };
  if (!verify) return { claims, unverified: true };
  const algorithm = String(header.alg);
  const good = fitting.some((key) => verify({ algorithm, key, text, signature }) === true);
  return good ? { claims } : { failure: tokenFailures.signature };
}

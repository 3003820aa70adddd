import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import type { Authentication, Authenticator } from '../authenticate.ts';
import { parseServiceAccountSubject } from '../service-account-token.ts';
import type { ClaimOrText, IdentityRule, TokenIssuer } from '../settings/identity-settings.ts';
import { isWorkloadIdentity } from '../spiffe.ts';
import { KeySet, type KeySetOptions } from './key-set.ts';

/** Signatures by a key pair only: with a shared secret whoever checks could sign, and `none` proves nothing. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
const clockToleranceSeconds = 5;

/** Tokens of one issuer: signature, issuer, audience and times are checked, then its rules say whom they stand for. */
export function issuerAuthenticator(
  issuer: TokenIssuer,
  options: { trustDomain: string; clock?: Clock } & KeySetOptions,
): Authenticator {
  const keySet = new KeySet(issuer, options);
  const clock = options.clock ?? systemClock;
  const verify = async (token: string): Promise<JWTPayload> => {
    const settings = {
      algorithms,
      issuer: issuer.issuer,
      audience: [...issuer.audiences],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(clock.now()),
    };
    try {
      return (await jwtVerify(token, await keySet.keys(), settings)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await keySet.refetch())) throw error;
      return (await jwtVerify(token, await keySet.keys(), settings)).payload;
    }
  };
  return async ({ bearerToken }) => {
    if (bearerToken === undefined || issuerOf(bearerToken) !== issuer.issuer) return undefined;
    let payload: JWTPayload;
    try {
      payload = await verify(bearerToken);
    } catch (error) {
      // The library's words name claims and algorithms, never the token.
      if (error instanceof errors.JOSEError || error instanceof CodedError) return refused(messageOf(error));
      throw error;
    }
    return identityOf(issuer, payload, options.trustDomain);
  };
}

/** The claim by which a token is given to its issuer's authenticator; nothing is believed yet. */
export function issuerOf(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

function identityOf({ identities }: TokenIssuer, payload: JWTPayload, trustDomain: string): Authentication {
  if (identities === 'kubernetes') {
    const account = parseServiceAccountSubject(payload.sub);
    return account
      ? accepted({ trustDomain, ...account }, 'service-account-token')
      : refused('the subject of the token is no service account');
  }
  const rule = identities.find(({ claims }) =>
    Object.entries(claims).every(([name, wanted]) => matches(payload[name], wanted)),
  );
  if (!rule) return refused('no rule of the issuer fits the claims of the token');
  return ruleIdentity(rule, payload, trustDomain);
}

function ruleIdentity(rule: IdentityRule, payload: JWTPayload, trustDomain: string): Authentication {
  const namespace = claimOrText(rule.namespace, payload);
  const serviceAccount = claimOrText(rule.serviceAccount, payload);
  if (namespace === undefined || serviceAccount === undefined)
    return refused('the token lacks the claim of its namespace or service account');
  const identity = { trustDomain, namespace, serviceAccount };
  if (!isWorkloadIdentity(identity)) return refused('the claims of the token make no valid identity');
  if (rule.namespaces && !rule.namespaces.includes(namespace))
    return refused(`the issuer may not speak for the namespace ${namespace}`);
  return accepted(identity, 'oidc-token');
}

function claimOrText(source: ClaimOrText, payload: JWTPayload): string | undefined {
  if ('text' in source) return source.text;
  let value: unknown = payload;
  for (const step of source.claim)
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string, unknown>)[step]
        : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** A list matches by any of its entries. */
function matches(value: unknown, wanted: string): boolean {
  if (Array.isArray(value)) return value.some((one) => !Array.isArray(one) && matches(one, wanted));
  if (typeof value !== 'string' && typeof value !== 'boolean' && typeof value !== 'number') return false;
  const text = String(value);
  return wanted.endsWith('*') ? text.startsWith(wanted.slice(0, -1)) : text === wanted;
}

function accepted(
  identity: { trustDomain: string; namespace: string; serviceAccount: string },
  credential: 'oidc-token' | 'service-account-token',
): Authentication {
  return { ok: true, caller: { identity, credential } };
}

function refused(reason: string): Authentication {
  return { ok: false, reason: `the token does not verify: ${reason}` };
}

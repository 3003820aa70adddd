import { randomUUID } from 'node:crypto';
import { errors, exportJWK, jwtVerify, SignJWT } from 'jose';
import { type Clock, systemClock } from '../../kit/clock.ts';
import type { KeyPair } from '../../kit/x509.ts';
import { allServiceAccounts, type User } from './user.ts';

/** Kubernetes' own default, which clients that check `iss` expect. */
export const defaultIssuer = 'https://kubernetes.default.svc.cluster.local';

const shortestSeconds = 600;
const longestSeconds = 365 * 86_400;

export interface BoundObject {
  kind: string;
  name: string;
  uid: string;
}

export interface TokenRequest {
  namespace: string;
  name: string;
  uid: string;
  /** Empty: the API's own audience. */
  audiences: readonly string[];
  /** Clamped to 10 minutes … 1 year. */
  expirationSeconds: number;
  boundTo?: BoundObject;
}

export interface TokenOptions {
  keys: KeyPair;
  keyId: string;
  /** Default `https://kubernetes.default.svc.cluster.local`; also the default audience. */
  issuer?: string;
  /** The uid of an object that exists now; undefined when it does not. Tokens of what is gone are worth nothing. */
  uidOf: (kind: string, namespace: string, name: string) => Promise<string | undefined>;
  clock?: Clock;
}

interface Claims {
  namespace: string;
  serviceaccount: { name: string; uid: string };
  [bound: string]: unknown;
}

/** Bearer tokens of service accounts: JWTs (ES256) bound to the account's uid and, if asked for, to another object's. */
export function createTokenIssuer(options: TokenOptions) {
  const { keys, keyId, issuer = defaultIssuer, uidOf, clock = systemClock } = options;
  const user = (claims: Claims): User => {
    const { namespace, serviceaccount } = claims;
    return {
      name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
      uid: serviceaccount.uid,
      groups: [allServiceAccounts, `${allServiceAccounts}:${namespace}`],
    };
  };
  return {
    issuer,
    async issue(request: TokenRequest): Promise<{ token: string; expires: Date; audiences: string[] }> {
      const audiences = request.audiences.length > 0 ? [...request.audiences] : [issuer];
      const seconds = Math.min(Math.max(request.expirationSeconds, shortestSeconds), longestSeconds);
      const now = Math.floor(clock.now() / 1000);
      const claims: Claims = {
        namespace: request.namespace,
        serviceaccount: { name: request.name, uid: request.uid },
      };
      if (request.boundTo) {
        claims[request.boundTo.kind.toLowerCase()] = { name: request.boundTo.name, uid: request.boundTo.uid };
      }
      const token = await new SignJWT({ 'kubernetes.io': claims })
        .setProtectedHeader({ alg: 'ES256', kid: keyId })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${request.namespace}:${request.name}`)
        .setAudience(audiences)
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + seconds)
        .setJti(randomUUID())
        .sign(keys.privateKey);
      return { token, expires: new Date((now + seconds) * 1000), audiences };
    },

    /** The user of a valid token, or why it is not valid. `audiences`: one of them must be the token's; default the API's own. */
    async verify(
      token: string,
      audiences: readonly string[] = [issuer],
    ): Promise<{ user: User; audiences: string[] } | { error: string }> {
      try {
        const { payload } = await jwtVerify(token, keys.publicKey, {
          issuer,
          algorithms: ['ES256'],
          audience: [...audiences],
          currentDate: new Date(clock.now()),
          requiredClaims: ['exp', 'sub'],
        });
        const claims = payload['kubernetes.io'] as Claims | undefined;
        if (!claims) return { error: 'the token names no service account' };
        const problem = await goneProblem(claims);
        if (problem) return { error: problem };
        const own = Array.isArray(payload.aud) ? payload.aud : [String(payload.aud)];
        return { user: user(claims), audiences: own.filter((one) => audiences.includes(one)) };
      } catch (error) {
        return { error: error instanceof errors.JOSEError ? error.message : 'the token cannot be read' };
      }
    },

    /** The public key, for those who check tokens themselves. */
    async jwks(): Promise<{ keys: unknown[] }> {
      const jwk = await exportJWK(keys.publicKey);
      return { keys: [{ ...jwk, kid: keyId, alg: 'ES256', use: 'sig' }] };
    },
  };

  async function goneProblem(claims: Claims): Promise<string | undefined> {
    const { namespace, serviceaccount, ...bound } = claims;
    const uid = await uidOf('ServiceAccount', namespace, serviceaccount.name);
    if (uid !== serviceaccount.uid) return 'the service account of the token is gone';
    for (const [kind, object] of Object.entries(bound)) {
      if (kind !== 'pod' && kind !== 'secret') continue;
      const { name, uid: wanted } = object as { name: string; uid: string };
      if ((await uidOf(kind === 'pod' ? 'Pod' : 'Secret', namespace, name)) !== wanted) {
        return `the ${kind} that the token is bound to is gone`;
      }
    }
    return undefined;
  }
}

export type ServiceAccountTokens = ReturnType<typeof createTokenIssuer>;

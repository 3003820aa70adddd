import { createPrivateKey, createPublicKey } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { type Clock, systemClock } from '../kit/clock.ts';

/** Audience that Istio's agents ask for. */
export const CA_AUDIENCE = 'istio-ca';

export interface ServiceAccountTokensOptions {
  /** PEM of an ECDSA P-256 private key. */
  key: string;
  issuer: string;
  clock?: Clock;
}

export interface ServiceAccountTokens {
  /** A token as Kubernetes' TokenRequest gives: `sub` system:serviceaccount:<ns>:<name>. `ttlSeconds` default 3,600. */
  sign(
    account: { namespace: string; serviceAccount: string },
    options?: { audiences?: readonly string[]; ttlSeconds?: number },
  ): Promise<{ token: string; expiresAt: Date }>;
  /** The account, when signature, issuer, times and one of `audiences` (default istio-ca) hold. */
  verify(
    token: string,
    audiences?: readonly string[],
  ): Promise<{ namespace: string; serviceAccount: string } | undefined>;
}

export function createServiceAccountTokens(options: ServiceAccountTokensOptions): ServiceAccountTokens {
  const { issuer, clock = systemClock } = options;
  const privateKey = createPrivateKey(options.key);
  const publicKey = createPublicKey(privateKey);
  return {
    async sign(account, { audiences = [CA_AUDIENCE], ttlSeconds = 3_600 } = {}) {
      const now = Math.floor(clock.now() / 1000);
      const token = await new SignJWT({
        'kubernetes.io': { namespace: account.namespace, serviceaccount: { name: account.serviceAccount } },
      })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${account.namespace}:${account.serviceAccount}`)
        .setAudience([...audiences])
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + ttlSeconds)
        .sign(privateKey);
      return { token, expiresAt: new Date((now + ttlSeconds) * 1000) };
    },
    async verify(token, audiences = [CA_AUDIENCE]) {
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          algorithms: ['ES256'],
          issuer,
          audience: [...audiences],
          requiredClaims: ['exp', 'sub'],
          clockTolerance: 5,
          currentDate: new Date(clock.now()),
        });
        return parseServiceAccountSubject(payload.sub);
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}

export function parseServiceAccountSubject(
  subject: string | undefined,
): { namespace: string; serviceAccount: string } | undefined {
  const match = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/.exec(subject ?? '');
  return match ? { namespace: match[1] as string, serviceAccount: match[2] as string } : undefined;
}

import type { X509Certificate } from 'node:crypto';
import {
  type Authenticator,
  authenticatePeer,
  certificateAuthenticator,
  joinTokenAuthenticator,
} from '../ca/authenticate.ts';
import type { JoinTokens } from '../ca/join-token.ts';
import { createRateLimiter, isLoopback } from '../ca/rate-limit.ts';
import { parseServiceAccountSubject } from '../ca/service-account-token.ts';
import type { ConnectLimits, IdentitySettings } from '../ca/settings/identity-settings.ts';
import { formatSpiffeId } from '../ca/spiffe.ts';
import { issuerAuthenticator, issuerOf } from '../ca/tokens/token-authenticator.ts';
import { tokenReviewAuthenticator } from '../ca/tokens/token-review.ts';
import type { Clock } from '../kit/clock.ts';
import { setOrDelete } from '../kit/maps.ts';
import type { AuthenticationResult, Credentials } from '../xds/authenticate.ts';
import type { Logger } from './log.ts';

/** Checks tokens of service accounts that our own API server gave. */
export interface AccountTokens {
  readonly issuer: string;
  verify(
    token: string,
    audiences: readonly string[],
  ): Promise<{ readonly user: { readonly name: string } } | { readonly error: string }>;
}

/** Audience of tokens with which workloads come to the control plane; Istio's name for it. */
const meshAudiences = ['istio-ca'];

/** Who calls is decided by the credentials alone, whichever proxy it claims to be. */
export type AuthenticateCaller = (credentials: Credentials) => Promise<AuthenticationResult>;

export interface Admission {
  /** Who may have a certificate, in the order in which credentials count. */
  readonly forCertificates: readonly Authenticator[];
  /** Who may ask for news of roots: holders of certificates. */
  readonly holders: Authenticator;
  readonly forXds: AuthenticateCaller;
  /** From now on tokens of our own API server count. */
  useAccountTokens(tokens: AccountTokens): void;
}

/** Whose word counts: certificates of the mesh, join tokens, and tokens of the issuers that the settings name. */
export function createAdmission(options: {
  settings: IdentitySettings;
  tokens: JoinTokens;
  /** The first is the mesh's own. */
  trustDomains: readonly [string, ...string[]];
  isRevoked?: (certificate: X509Certificate) => boolean;
  log: Logger;
  clock?: Clock;
}): Admission {
  const { settings, trustDomains, log } = options;
  const clock = options.clock ? { clock: options.clock } : {};
  const [trustDomain] = trustDomains;
  const { isRevoked } = options;
  const holders = certificateAuthenticator({ trustDomains, ...(isRevoked ? { isRevoked } : {}), ...clock });
  let own: AccountTokens | undefined;
  const tokenAuthenticators: Authenticator[] = [
    ...settings.tokens.map((issuer) =>
      issuerAuthenticator(issuer, { trustDomain, ...clock, warn: (message) => log.warn(message) }),
    ),
    ownAccounts(trustDomain, () => own),
    ...settings.tokenReviews.map((reviewer) => tokenReviewAuthenticator(reviewer, { trustDomain, ...clock })),
  ];
  return {
    holders,
    forCertificates: [holders, joinTokenAuthenticator(options.tokens), ...tokenAuthenticators],
    forXds: xdsAuthenticate([holders, ...tokenAuthenticators], settings.limits, options.clock),
    useAccountTokens(tokens) {
      own = tokens;
    },
  };
}

function ownAccounts(trustDomain: string, tokens: () => AccountTokens | undefined): Authenticator {
  return async ({ bearerToken }) => {
    const own = tokens();
    if (!own || bearerToken === undefined || issuerOf(bearerToken) !== own.issuer) return undefined;
    const verdict = await own.verify(bearerToken, meshAudiences);
    if ('error' in verdict) return { ok: false, reason: `the token does not verify: ${verdict.error}` };
    const account = parseServiceAccountSubject(verdict.user.name);
    if (!account) return { ok: false, reason: 'the token is of no service account' };
    return {
      ok: true,
      caller: { identity: { trustDomain, ...account }, credential: 'service-account-token' },
    };
  };
}

/**
 * Proxies prove who they are with a certificate of the mesh, or with a token; the plaintext listener takes their word (it is loopback
 * only). How often and how many is bounded per identity and per address.
 */
function xdsAuthenticate(
  authenticators: readonly Authenticator[],
  limits: ConnectLimits,
  clock: Clock | undefined,
): AuthenticateCaller {
  const options = clock ? { clock } : {};
  const perIdentity = createRateLimiter({
    burst: 2_000,
    perSecond: 50,
    ...limits.connectsPerIdentity,
    ...options,
  });
  const perAddress = createRateLimiter({
    burst: 1_000,
    perSecond: 50,
    ...limits.connectsPerAddress,
    ...options,
  });
  const refusals = createRateLimiter({ burst: 500, perSecond: 50, ...options });
  const maxStreams = limits.streamsPerIdentity ?? 2_000;
  const streams = new Map<string, number>();
  const count = (id: string, by: number): void => {
    const now = (streams.get(id) ?? 0) + by;
    setOrDelete(streams, id, now > 0 ? now : undefined);
  };
  const exhausted = (error: string): AuthenticationResult => ({ ok: false, error, exhausted: true });
  return async ({ listener, peerCertificate, bearerToken, remoteAddress }) => {
    if (listener === 'plaintext') return { ok: true, identity: undefined };
    if (!isLoopback(remoteAddress) && !perAddress.take(remoteAddress))
      return exhausted('too many connections from this address; try again later');
    if (!peerCertificate && bearerToken === undefined)
      return {
        ok: false,
        error: 'a client certificate of the mesh is needed: get one with CreateCertificate on this port',
      };
    const result = await authenticatePeer(authenticators, {
      address: remoteAddress,
      certificate: peerCertificate,
      bearerToken,
    });
    if (!result.ok)
      return refusals.take('')
        ? { ok: false, error: peerCertificate ? result.reason : 'the credential was not accepted' }
        : exhausted('too many refused credentials; try again later');
    const { identity } = result.caller;
    const id = formatSpiffeId(identity);
    if (!perIdentity.take(id)) return exhausted(`${id} connects too often; try again later`);
    if ((streams.get(id) ?? 0) >= maxStreams)
      return exhausted(`${id} has ${maxStreams} streams open, its limit`);
    count(id, 1);
    return { ok: true, identity, release: () => count(id, -1) };
  };
}

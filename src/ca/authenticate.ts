import type { X509Certificate } from 'node:crypto';
import { type Clock, systemClock } from '../kit/clock.ts';
import type { JoinTokens } from './join-token.ts';
import { isJoinToken } from './join-token.ts';
import type { Peer } from './peer.ts';
import { parseSpiffeId, type WorkloadIdentity } from './spiffe.ts';

/** A caller whose credential was checked. */
export interface Caller {
  readonly identity: WorkloadIdentity;
  readonly credential: 'certificate' | 'join-token' | 'service-account-token' | 'oidc-token';
  /**
   * For credentials of one use: called once, right before the certificate is signed. Undefined when somebody else was first, else the
   * way to give it back where no certificate came of it.
   */
  redeem?(): (() => void) | undefined;
}

export type Authentication =
  /** `reason` is for the log; the caller is told only that it was refused. */
  { ok: true; caller: Caller } | { ok: false; reason: string };

/** Undefined: this peer carries no credential of this authenticator's sort. */
export type Authenticator = (peer: Peer) => Promise<Authentication | undefined>;

/** Renewal: the workload's present certificate, verified by TLS against the mesh's roots. */
export function certificateAuthenticator(options: {
  /** The first is the mesh's own; others are accepted as aliases of it. */
  trustDomains: readonly string[];
  /** Whether the authority has revoked it. Default: none is. */
  isRevoked?: (certificate: X509Certificate) => boolean;
  clock?: Clock;
}): Authenticator {
  const clock = options.clock ?? systemClock;
  return async ({ certificate }) => {
    if (!certificate) return undefined;
    const identity = identityOf(certificate);
    if (!identity) return { ok: false, reason: 'the client certificate carries not exactly one SPIFFE id' };
    if (!options.trustDomains.includes(identity.trustDomain))
      return { ok: false, reason: `the client certificate is of trust domain ${identity.trustDomain}` };
    // A connection may outlive the certificate that opened it.
    if (certificate.validToDate.getTime() <= clock.now())
      return { ok: false, reason: 'the client certificate has expired since the connection was made' };
    if (options.isRevoked?.(certificate)) return { ok: false, reason: 'the client certificate is revoked' };
    return { ok: true, caller: { identity, credential: 'certificate' } };
  };
}

/** Joining: a token that the control plane minted for one identity. */
export function joinTokenAuthenticator(tokens: JoinTokens): Authenticator {
  return async ({ bearerToken }) => {
    if (bearerToken === undefined || !isJoinToken(bearerToken)) return undefined;
    const identity = tokens.check(bearerToken);
    if (!identity) return { ok: false, reason: 'the join token is unknown, used or expired' };
    return {
      ok: true,
      caller: { identity, credential: 'join-token', redeem: () => tokens.redeem(bearerToken) },
    };
  };
}

/** A JWT that names a Kubernetes-like service account; `verify` checks signature, issuer, audience and times. */
export function serviceAccountAuthenticator(options: {
  trustDomain: string;
  verify(token: string): Promise<{ namespace: string; serviceAccount: string } | undefined>;
}): Authenticator {
  return async ({ bearerToken }) => {
    if (bearerToken?.split('.').length !== 3) return undefined;
    const account = await options.verify(bearerToken);
    if (!account) return { ok: false, reason: 'the service account token does not verify' };
    const { namespace, serviceAccount } = account;
    const identity = { trustDomain: options.trustDomain, namespace, serviceAccount };
    return { ok: true, caller: { identity, credential: 'service-account-token' } };
  };
}

/** The first sort of credential that the peer carries decides; a refused one is not made up for by another. */
export async function authenticatePeer(
  authenticators: readonly Authenticator[],
  peer: Peer,
): Promise<Authentication> {
  for (const authenticator of authenticators) {
    const result = await authenticator(peer);
    if (result) return result;
  }
  return { ok: false, reason: 'no credential: neither a client certificate of the mesh nor a token' };
}

/** The one SPIFFE id of a certificate's alternative names. */
export function identityOf(certificate: X509Certificate): WorkloadIdentity | undefined {
  const uris = (certificate.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice(4));
  return uris.length === 1 ? parseSpiffeId(uris[0] as string) : undefined;
}

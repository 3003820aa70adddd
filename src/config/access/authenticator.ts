import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { ServiceAccountTokens } from './service-account-tokens.ts';
import { allAuthenticated, allUnauthenticated, type User } from './user.ts';

export const anonymous: User = { name: 'system:anonymous', groups: [allUnauthenticated] };

export interface Authenticator {
  /** The user that a connection and its `Authorization` header prove; `anonymous` when neither is there; undefined when what is there proves nothing. */
  authenticate(socket: TLSSocket | undefined, authorization: string | undefined): Promise<User | undefined>;
}

/** Client certificates of the API's authority, and bearer tokens of service accounts. */
export function createAuthenticator(tokens: Pick<ServiceAccountTokens, 'verify'>): Authenticator {
  const byConnection = new WeakMap<TLSSocket, User>();
  return {
    async authenticate(socket, authorization) {
      if (socket?.authorized) {
        const known = byConnection.get(socket) ?? userOfCertificate(socket.getPeerCertificate());
        if (known) {
          byConnection.set(socket, known);
          return known;
        }
      }
      if (authorization === undefined) return anonymous;
      const token = /^Bearer\s+(\S+)$/i.exec(authorization)?.[1];
      if (token === undefined) return undefined;
      const verdict = await tokens.verify(token);
      return 'user' in verdict ? authenticated(verdict.user) : undefined;
    },
  };
}

export function authenticated(user: User): User {
  return user.groups.includes(allAuthenticated)
    ? user
    : { ...user, groups: [...user.groups, allAuthenticated] };
}

function userOfCertificate(certificate: PeerCertificate): User | undefined {
  const { CN, O } = certificate.subject ?? {};
  const name = Array.isArray(CN) ? CN[0] : CN;
  if (typeof name !== 'string' || name === '') return undefined;
  const groups = O === undefined ? [] : Array.isArray(O) ? O : [O];
  return authenticated({ name, groups });
}

import type { X509Certificate } from 'node:crypto';
import type { MeshProxy } from '../snapshot/proxy.ts';

/** What a caller presents. */
export interface Credentials {
  /** The listener that it came through. */
  readonly listener: string;
  readonly remoteAddress: string;
  /** The client certificate, only if it was verified against the listener's CA. */
  readonly peerCertificate: X509Certificate | undefined;
  /** The value of an `authorization: Bearer …` header. */
  readonly bearerToken: string | undefined;
}

/** Whom a caller has proved to be. */
export interface ProxyIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** `identity` undefined: the listener asks for none (plaintext on loopback), and the node's own claims are taken. */
export type AuthenticationResult =
  | {
      readonly ok: true;
      readonly identity: ProxyIdentity | undefined;
      /** Called once when the stream is over: it no longer counts. */
      readonly release?: () => void;
    }
  | {
      readonly ok: false;
      readonly error: string;
      /** A quota is used up; the credential may be good. */
      readonly exhausted?: boolean;
    };

export type Authenticate = (
  credentials: Credentials,
  proxy: MeshProxy,
) => AuthenticationResult | Promise<AuthenticationResult>;

/** A caller acts only as the identity that it proved. Returns a message for a node that claims another. */
export function checkIdentity(proxy: MeshProxy, identity: ProxyIdentity | undefined): string | undefined {
  if (!identity) return undefined;
  const proved = `${identity.namespace}/${identity.serviceAccount}`;
  const claimed = `${proxy.namespace}/${proxy.serviceAccount}`;
  if (proved === claimed) return undefined;
  return `the node claims the service account ${claimed}, its credential is for ${proved}: set NAMESPACE and SERVICE_ACCOUNT in the node metadata to those of the credential`;
}

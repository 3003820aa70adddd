import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** The other end of a call, as far as the transport proved it. */
export interface Peer {
  /** IP address, for logs. */
  readonly address: string;
  /** The client certificate that TLS verified against the mesh's roots; undefined without one, or when it did not verify. */
  readonly certificate: X509Certificate | undefined;
  /** The `authorization` header's bearer value. */
  readonly bearerToken: string | undefined;
}

const MAX_TOKEN = 8_192;

/**
 * The peer of a call on a TLS server with `requestCert: true, rejectUnauthorized: false` and `ca` set to the mesh's roots: a
 * certificate that does not verify counts as none.
 */
export function peerOf(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Peer {
  const socket = stream.session?.socket as TLSSocket | undefined;
  const certificate = socket?.authorized ? socket.getPeerX509Certificate() : undefined;
  return {
    address: socket?.remoteAddress ?? '',
    certificate,
    bearerToken: bearerToken(headers.authorization),
  };
}

export function bearerToken(header: string | undefined): string | undefined {
  if (!header || header.length > MAX_TOKEN) return undefined;
  return /^Bearer +([^\s]+)$/i.exec(header)?.[1];
}

import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { messageOf } from '../kit/coded-error.ts';
import { grpcStatus, serveUnary, type UnaryResult } from '../kit/grpc-http2.ts';
import { type Authenticator, authenticatePeer } from './authenticate.ts';
import type { AuthorityRing } from './authority-ring.ts';
import { type Peer, peerOf } from './peer.ts';
import { formatSpiffeId } from './spiffe.ts';
import { decodeTrustRequest, encodeTrustResponse, TRUST_SYNC_PATH } from './trust-messages.ts';

const maxRequestBytes = 1_024;

/**
 * Serves `ostria.v1.TrustService/Sync`, by which workloads learn of new roots and are asked to renew. Only the holder of a certificate
 * of the mesh is answered. True when the call was for this service; see `serveCertificates` for the server's TLS options.
 */
export function serveTrust(
  ring: AuthorityRing,
  authenticators: readonly Authenticator[],
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  if (headers[':path'] !== TRUST_SYNC_PATH) return false;
  const peer = peerOf(stream, headers);
  serveUnary(stream, (request) => answer(ring, authenticators, request, peer), { maxRequestBytes });
  return true;
}

async function answer(
  ring: AuthorityRing,
  authenticators: readonly Authenticator[],
  bytes: Uint8Array,
  peer: Peer,
): Promise<UnaryResult> {
  const authentication = await authenticatePeer(authenticators, peer);
  if (!authentication.ok || !peer.certificate)
    return {
      ok: false,
      grpcStatus: grpcStatus.unauthenticated,
      message: 'a certificate of the mesh is needed',
    };
  try {
    const identity = formatSpiffeId(authentication.caller.identity);
    const { bundle = '', ...told } = ring.sync({
      ...decodeTrustRequest(bytes),
      certificate: peer.certificate,
      identity,
    });
    return { ok: true, response: encodeTrustResponse({ bundle, ...told }) };
  } catch (error) {
    return { ok: false, grpcStatus: grpcStatus.invalidArgument, message: messageOf(error) };
  }
}

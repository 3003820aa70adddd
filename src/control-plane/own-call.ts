import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { type Authenticator, authenticatePeer } from '../ca/authenticate.ts';
import { type Peer, peerOf } from '../ca/peer.ts';
import { messageOf } from '../kit/coded-error.ts';
import { GrpcError, grpcStatus, serveUnary, type UnaryResult } from '../kit/grpc-http2.ts';

const maxRequestBytes = 64 * 1024;

/** Who a request says it is from. */
export interface OwnRequest {
  readonly workload: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A unary call that an agent makes for its own workload. Messages are JSON. */
export interface OwnCall {
  readonly path: string;
  /** Throws what is wrong with the request; what it gives back is answered. */
  read(request: OwnRequest): OwnAnswer;
}

/** Throws GrpcError to refuse. */
type OwnAnswer = () => unknown;

/** Only the holder of a certificate of the mesh is answered, and for its own identity alone. True when the call was this one. */
export function serveOwnCall(
  call: OwnCall,
  holders: Authenticator,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  if (headers[':path'] !== call.path) return false;
  const peer = peerOf(stream, headers);
  serveUnary(stream, (bytes) => answer(call, holders, bytes, peer), { maxRequestBytes });
  return true;
}

async function answer(
  call: OwnCall,
  holders: Authenticator,
  bytes: Uint8Array,
  peer: Peer,
): Promise<UnaryResult> {
  const authentication = await authenticatePeer([holders], peer);
  if (!authentication.ok) return refused(grpcStatus.unauthenticated, 'a certificate of the mesh is needed');
  const { namespace, serviceAccount } = authentication.caller.identity;
  let asked: OwnRequest;
  let prepared: OwnAnswer;
  try {
    asked = JSON.parse(Buffer.from(bytes).toString('utf8')) as OwnRequest;
    for (const field of ['workload', 'namespace', 'serviceAccount'] as const)
      if (typeof asked[field] !== 'string' || asked[field] === '') throw new Error(`${field} is missing`);
    prepared = call.read(asked);
  } catch (error) {
    return refused(grpcStatus.invalidArgument, messageOf(error));
  }
  if (asked.namespace !== namespace || asked.serviceAccount !== serviceAccount)
    return refused(grpcStatus.permissionDenied, `the certificate is of ${namespace}/${serviceAccount}`);
  try {
    return { ok: true, response: Buffer.from(JSON.stringify(prepared())) };
  } catch (error) {
    if (error instanceof GrpcError) return refused(error.status, error.message);
    throw error;
  }
}

function refused(status: number, message: string): UnaryResult {
  return { ok: false, grpcStatus: status, message };
}

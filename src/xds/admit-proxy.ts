import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { type MeshProxy, parseProxy } from '../snapshot/proxy.ts';
import { type Authenticate, type Credentials, checkIdentity } from './authenticate.ts';
import type { XdsMethod } from './methods.ts';
import { decodeDeltaRequest, decodeSotwRequest, type XdsRequest } from './request.ts';
import { WireError } from './wire.ts';

/** Requests from this length on are compared with the last such one: they name a thousand resources. */
const longRequest = 2 * 1024;
let lastLong: { readonly message: Buffer; readonly delta: boolean; readonly request: XdsRequest } | undefined;

/** Throws INVALID_ARGUMENT. A request that many clients make is decoded once: it must not be changed. */
export function decodeRequest(message: Buffer, delta: boolean, wantNode: boolean): XdsRequest {
  const isLong = !wantNode && message.length >= longRequest;
  if (isLong && lastLong?.delta === delta && lastLong.message.equals(message)) return lastLong.request;
  const request = decodeAny(message, delta, wantNode);
  if (isLong) lastLong = { message: Buffer.from(message), delta, request };
  return request;
}

function decodeAny(message: Buffer, delta: boolean, wantNode: boolean): XdsRequest {
  try {
    return delta ? decodeDeltaRequest(message, wantNode) : decodeSotwRequest(message, wantNode);
  } catch (error) {
    if (error instanceof WireError)
      throw new GrpcError(grpcStatus.invalidArgument, `malformed request: ${error.message}`);
    throw error;
  }
}

/** The proxy that a stream's first request names. Throws INVALID_ARGUMENT. */
export function readProxy({ node }: XdsRequest, method: XdsMethod): MeshProxy {
  if (!node)
    throw new GrpcError(grpcStatus.invalidArgument, 'the first request of a stream must carry the node');
  const aggregated = method.typeUrl === undefined;
  const vhds = method.delta && aggregated && !node.id.startsWith('grpc~');
  const parsed = parseProxy(node, { vhds });
  if (!parsed.ok) throw new GrpcError(grpcStatus.invalidArgument, parsed.error);
  return parsed.proxy;
}

/** Whether the caller may be that proxy: throws UNAUTHENTICATED, PERMISSION_DENIED or RESOURCE_EXHAUSTED. Resolves with what to call when its stream is over. */
export async function admitProxy(
  proxy: MeshProxy,
  credentials: Credentials,
  authenticate: Authenticate,
): Promise<() => void> {
  const result = await authenticate(credentials, proxy);
  if (!result.ok)
    throw new GrpcError(
      result.exhausted ? grpcStatus.resourceExhausted : grpcStatus.unauthenticated,
      result.error,
    );
  const release = result.release ?? (() => undefined);
  const mismatch = checkIdentity(proxy, result.identity);
  if (!mismatch) return release;
  release();
  throw new GrpcError(grpcStatus.permissionDenied, mismatch);
}

import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { type Authenticator, authenticatePeer } from '../../ca/authenticate.ts';
import { type Peer, peerOf } from '../../ca/peer.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { grpcStatus, serveUnary, type UnaryResult } from '../../kit/grpc-http2.ts';
import { type ProxySettingsRequest, proxySettingsPath } from '../../kit/proxy-settings-call.ts';
import type { SettingsBook } from './settings-book.ts';

const maxRequestBytes = 64 * 1024;

/**
 * Serves `ostria.v1.ProxySettingsService/Get`. Only the holder of a certificate of the mesh is answered, and for its own identity alone.
 * True when the call was for this service.
 */
export function serveProxySettings(
  book: SettingsBook,
  holders: Authenticator,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  if (headers[':path'] !== proxySettingsPath) return false;
  const peer = peerOf(stream, headers);
  serveUnary(stream, (bytes) => answer(book, holders, bytes, peer), { maxRequestBytes });
  return true;
}

async function answer(
  book: SettingsBook,
  holders: Authenticator,
  bytes: Uint8Array,
  peer: Peer,
): Promise<UnaryResult> {
  const authentication = await authenticatePeer([holders], peer);
  if (!authentication.ok) return refused(grpcStatus.unauthenticated, 'a certificate of the mesh is needed');
  const { namespace, serviceAccount } = authentication.caller.identity;
  let asked: ProxySettingsRequest;
  try {
    asked = parseRequest(bytes);
  } catch (error) {
    return refused(grpcStatus.invalidArgument, messageOf(error));
  }
  if (asked.namespace !== namespace || asked.serviceAccount !== serviceAccount)
    return refused(grpcStatus.permissionDenied, `the certificate is of ${namespace}/${serviceAccount}`);
  return { ok: true, response: Buffer.from(JSON.stringify(book.of(asked))) };
}

function refused(status: number, message: string): UnaryResult {
  return { ok: false, grpcStatus: status, message };
}

/** Throws what is wrong with it. */
function parseRequest(bytes: Uint8Array): ProxySettingsRequest {
  const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as ProxySettingsRequest;
  for (const field of ['workload', 'namespace', 'serviceAccount'] as const)
    if (typeof value[field] !== 'string' || value[field] === '') throw new Error(`${field} is missing`);
  if (value.group !== undefined && typeof value.group !== 'string') throw new Error('group is no name');
  const maps: readonly unknown[] = [value.labels, value.metadata];
  if (maps.some((map) => typeof map !== 'object' || map === null))
    throw new Error('labels and metadata must be mappings');
  return value;
}

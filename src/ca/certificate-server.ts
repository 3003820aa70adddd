import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { grpcStatus, refuseGrpc, serveUnary } from '../kit/grpc-http2.ts';
import type { CertificateService } from './certificate-service.ts';
import { peerOf } from './peer.ts';

/**
 * Mounts the service on an HTTP/2 server that serves other methods too: call it from the server's `stream` event; true when the
 * call was for this service. The server's TLS options must be `requestCert: true, rejectUnauthorized: false`, `ca`: the roots.
 */
export function serveCertificates(
  service: CertificateService,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  if (headers[':path'] !== service.path) return false;
  const peer = peerOf(stream, headers);
  serveUnary(stream, (request) => service.handle(request, peer), {
    maxRequestBytes: service.maxRequestBytes,
  });
  return true;
}

export interface CertificateServerOptions {
  service: CertificateService;
  /** PEM: the server's certificate with its intermediates, its key, and the roots that clients' certificates must come from. */
  certificate: string;
  key: string;
  root: string;
  /** Default 0: any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  address?: string;
}

/** A server of this one service. The control plane mounts it beside xDS instead. */
export async function startCertificateServer(
  options: CertificateServerOptions,
): Promise<{ port: number; server: Http2SecureServer; close(): Promise<void> }> {
  const server = createSecureServer({
    cert: options.certificate,
    key: options.key,
    ca: options.root,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    settings: { maxConcurrentStreams: 100 },
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
    session.setTimeout(60_000, () => session.close());
  });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (!serveCertificates(options.service, stream, headers))
      refuseGrpc(stream, grpcStatus.unimplemented, `no such method: ${headers[':path']}`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close: () =>
      new Promise((resolve) => {
        for (const session of sessions) session.destroy();
        server.close(() => resolve());
      }),
  };
}

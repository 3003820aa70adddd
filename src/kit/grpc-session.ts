import { type ClientHttp2Session, connect } from 'node:http2';
import { GrpcError, grpcStatus } from './grpc-http2.ts';

export interface SessionOptions {
  /** `host:port`. */
  readonly address: string;
  /** PEM: only a server whose certificate comes from these is talked to. */
  readonly root: string;
  /** Name that the server's certificate must carry. Default: the host of the address. */
  readonly serverName?: string;
  /** Client certificate. PEM. */
  readonly key?: string;
  readonly certificateChain?: string;
}

/** A TLS connection for one call or a few; the caller destroys it. Rejects with GrpcError. */
export function openSession(options: SessionOptions, timeoutMs: number): Promise<ClientHttp2Session> {
  const { key, certificateChain, serverName } = options;
  return new Promise((resolve, reject) => {
    const session = connect(`https://${options.address}`, {
      ca: options.root,
      ...(serverName === undefined ? {} : { servername: serverName }),
      minVersion: 'TLSv1.2',
      ...(key !== undefined && certificateChain !== undefined ? { key, cert: certificateChain } : {}),
    });
    const timer = setTimeout(() => fail(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const fail = (error: Error) => {
      clearTimeout(timer);
      session.destroy();
      reject(new GrpcError(grpcStatus.unavailable, `${options.address}: ${error.message}`));
    };
    session.once('error', fail);
    session.once('connect', () => {
      clearTimeout(timer);
      session.off('error', fail);
      session.on('error', () => {});
      resolve(session);
    });
  });
}

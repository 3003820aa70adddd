import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js';
import {
  CheckRequestSchema,
  CheckResponseSchema,
} from '../../gen/proto/envoy/service/auth/v3/external_auth_pb.js';

/** What an authorization server was asked. */
export interface Asked {
  readonly by: 'http' | 'grpc';
  readonly path: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export interface AuthorizationServers {
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Since the last `forget`, in order. */
  readonly asked: readonly Asked[];
  forget(): void;
  close(): void;
}

/**
 * An HTTP and a gRPC server that let in who brings `x-ext-authz: allow`. The one over HTTP says who the user is (`x-user`) and why
 * (`x-reason`), and answers 401 with a body otherwise.
 */
export async function startAuthorizationServers(): Promise<AuthorizationServers> {
  const asked: Asked[] = [];
  const checker = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { url: path = '', headers } = request;
      asked.push({ by: 'http', path, headers, body });
      const allowed = headers['x-ext-authz'] === 'allow' || headers.authorization === 'Bearer good';
      response.setHeader('x-user', 'from-checker');
      response.setHeader('x-reason', allowed ? 'fine' : 'not allowed');
      response.writeHead(allowed ? 200 : 401).end(allowed ? 'welcome' : 'denied by the checker');
    });
  });
  await new Promise<void>((resolve) => checker.listen(0, '127.0.0.1', resolve));
  const { engine, port } = await startEngine(asked);
  return {
    httpPort: (checker.address() as AddressInfo).port,
    grpcPort: port,
    asked,
    forget: () => {
      asked.length = 0;
    },
    close() {
      checker.close();
      engine.forceShutdown();
    },
  };
}

async function startEngine(asked: Asked[]): Promise<{ engine: GrpcServer; port: number }> {
  const engine = new GrpcServer();
  const method = {
    path: '/envoy.service.auth.v3.Authorization/Check',
    requestStream: false,
    responseStream: false,
    requestDeserialize: (bytes: Buffer) => fromBinary(CheckRequestSchema, bytes),
    requestSerialize: () => Buffer.alloc(0),
    responseSerialize: (message: Uint8Array) => Buffer.from(message),
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  engine.addService(
    { check: method },
    {
      check: ((
        incoming: { request: ReturnType<typeof method.requestDeserialize> },
        done: (error: null, answer: Uint8Array) => void,
      ) => {
        const http = incoming.request.attributes?.request?.http;
        const { path = '', headers = {}, body = '' } = http ?? {};
        asked.push({ by: 'grpc', path, headers, body });
        const code = headers['x-ext-authz'] === 'allow' ? status.OK : status.PERMISSION_DENIED;
        done(null, toBinary(CheckResponseSchema, create(CheckResponseSchema, { status: { code } })));
      }) as never,
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    engine.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { engine, port };
}

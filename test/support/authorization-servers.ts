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

/** What an authorization server makes of a request. */
export interface Judgement {
  readonly allowed: boolean;
  /** Of the HTTP server's refusals. */
  readonly status: number;
  /** That the HTTP server answers with. */
  readonly headers: Readonly<Record<string, string>>;
}

export type Judge = (asked: {
  readonly method: string;
  readonly headers: Readonly<Record<string, unknown>>;
}) => Judgement;

export interface AuthorizationServers {
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Since the last `forget`, in order. */
  readonly asked: readonly Asked[];
  forget(): void;
  close(): void;
}

/** Lets in who brings `x-ext-authz: allow`; says who the user is (`x-user`) and why (`x-reason`), and answers 401 otherwise. */
const byHeader: Judge = ({ headers }) => {
  const allowed = headers['x-ext-authz'] === 'allow' || headers.authorization === 'Bearer good';
  return {
    allowed,
    status: 401,
    headers: { 'x-user': 'from-checker', 'x-reason': allowed ? 'fine' : 'not allowed' },
  };
};

/** An HTTP and a gRPC server that decide as `judge` says. */
export async function startAuthorizationServers(judge: Judge = byHeader): Promise<AuthorizationServers> {
  const asked: Asked[] = [];
  const checker = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { url: path = '', method = '', headers } = request;
      asked.push({ by: 'http', path, headers, body });
      const { allowed, status: refusal, headers: told } = judge({ method, headers });
      response.writeHead(allowed ? 200 : refusal, told).end(allowed ? 'welcome' : 'denied by the checker');
    });
  });
  await new Promise<void>((resolve) => checker.listen(0, '127.0.0.1', resolve));
  const { engine, port } = await startEngine(asked, judge);
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

async function startEngine(asked: Asked[], judge: Judge): Promise<{ engine: GrpcServer; port: number }> {
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
        const { path = '', method: verb = '', headers = {}, body = '' } = http ?? {};
        asked.push({ by: 'grpc', path, headers, body });
        const code = judge({ method: verb, headers }).allowed ? status.OK : status.PERMISSION_DENIED;
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

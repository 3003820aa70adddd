import { spawn } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { callUnary } from '../kit/grpc-http2.ts';
import { http } from '../kit/node-http.ts';
import type { WorkloadProbe } from '../kit/registration.ts';

/** Asks the application once. Undefined: well; else why not. Never rejects. */
export async function probeOnce(
  probe: WorkloadProbe,
  portOf: (port: number) => number,
  host: string,
): Promise<string | undefined> {
  const timeoutMs = (probe.timeoutSeconds || 1) * 1_000;
  try {
    if (probe.httpGet) return await askHttp(probe.httpGet, portOf, host, timeoutMs);
    if (probe.tcpSocket) {
      const { tcpSocket } = probe;
      return await askTcp(tcpSocket.host || host, portOf(tcpSocket.port), timeoutMs);
    }
    if (probe.grpc) return await askGrpc(probe.grpc, portOf, host, timeoutMs);
    return probe.exec ? await run(probe.exec.command, timeoutMs) : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

type HttpGet = NonNullable<WorkloadProbe['httpGet']>;

function askHttp(
  probe: HttpGet,
  portOf: (port: number) => number,
  host: string,
  timeout: number,
): Promise<string | undefined> {
  const secure = probe.scheme?.toUpperCase() === 'HTTPS';
  const path = probe.path?.startsWith('/') ? probe.path : `/${probe.path ?? ''}`;
  const headers = Object.fromEntries(
    (probe.httpHeaders ?? []).map(({ name = '', value = '' }) => [name, value]),
  );
  // Of the whole answer: a server that sends its head letter by letter is never idle.
  const signal = AbortSignal.timeout(timeout);
  const options = {
    host: probe.host || host,
    port: portOf(probe.port),
    path,
    headers,
    signal,
    agent: false,
  };
  return new Promise((resolve) => {
    const done = (response: IncomingMessage): void => {
      // Nobody reads the body.
      response.on('error', () => undefined).destroy();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400 ? undefined : `${path} answers ${status}`);
    };
    // A workload's own certificate is nobody's business here, as with Kubernetes' probes.
    const sent = secure
      ? httpsRequest({ ...options, rejectUnauthorized: false }, done)
      : http.request(options, done);
    sent.on('error', ({ message }) =>
      resolve(`${path}: ${signal.aborted ? `no answer within ${timeout} ms` : message}`),
    );
    sent.end();
  });
}

function askTcp(host: string, port: number, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (why?: string): void => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(timeout, () => done(`port ${port} does not answer within ${timeout} ms`));
    socket.once('connect', () => done());
    socket.once('error', (error) => done(error.message));
  });
}

/** grpc.health.v1.Health/Check: service = 1 of the request, status = 1 of the answer; 1 is SERVING. */
async function askGrpc(
  { port = 0, service = '' }: NonNullable<WorkloadProbe['grpc']>,
  portOf: (port: number) => number,
  host: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const authority = host.includes(':') ? `[${host}]` : host;
  const session = connectHttp2(`http://${authority}:${portOf(port)}`);
  session.on('error', () => undefined);
  try {
    const writer = new BinaryWriter();
    if (service !== '') writer.tag(1, WireType.LengthDelimited).string(service);
    const answer = await callUnary(session, '/grpc.health.v1.Health/Check', writer.finish(), { timeoutMs });
    const reader = new BinaryReader(answer);
    let status = 0;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1) status = reader.int32();
      else reader.skip(type, field);
    }
    return status === 1 ? undefined : `the health service answers status ${status}`;
  } finally {
    session.destroy();
  }
}

function run([program = '', ...args]: readonly string[], timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', timeout, killSignal: 'SIGKILL' });
    child.once('error', (error) => resolve(`${program} cannot be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : `${program} ended with ${code ?? signal}`),
    );
  });
}

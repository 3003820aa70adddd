import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';
import { type RuleOf, withIstioMetadata } from './istio-metadata.ts';

/** One proxy's admin interface, and what made its clusters. */
export interface EnvoyBehind {
  readonly socketPath: string;
  readonly rule: RuleOf;
}

export interface EnvoyFront {
  /** Serves HTTP/1.1 on a connection whose caller was authenticated before. Owns it. */
  serve(connection: Duplex, envoy: EnvoyBehind): void;
}

/** Envoy must begin its answer within this time, ms: profiles take half a minute. */
const answerMs = 120_000;
/** Dumps beyond are passed on as they are, bytes. */
const mostRewritten = 64 * 1024 * 1024;

/**
 * Envoy's admin interface as Istio's tools want it: every request goes to it as it is, and its dumps of the configuration come back with the
 * objects behind clusters and routes in Istio's form too.
 */
export function createEnvoyFront(): EnvoyFront {
  const targets = new WeakMap<object, EnvoyBehind>();
  const server = http.createServer((request, response) => {
    const envoy = targets.get(request.socket);
    if (!envoy) return void request.socket.destroy();
    passOn(request, response, envoy).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy();
      response.writeHead(502, { 'content-type': 'text/plain' });
      response.end(`Envoy does not answer: ${messageOf(error)}\n`);
    });
  });
  return {
    serve(connection, envoy) {
      targets.set(connection, envoy);
      connection.on('error', () => connection.destroy());
      server.emit('connection', connection);
    },
  };
}

async function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  { socketPath, rule }: EnvoyBehind,
): Promise<void> {
  const { method, url: path = '/', headers } = request;
  const { host: _host, connection: _connection, ...passed } = headers;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = http.request(
      { socketPath, path, method, headers: passed, agent: false, timeout: answerMs },
      resolve,
    );
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${answerMs / 1_000} s`)));
    sent.on('error', reject);
    request.pipe(sent);
  });
  const { 'transfer-encoding': _encoding, connection: _own, ...kept } = answer.headers;
  const whole = isDump(path) && answer.statusCode === 200 ? await readUpTo(answer, mostRewritten) : undefined;
  if (whole?.isComplete) {
    const text = Buffer.from(withIstioMetadata(Buffer.concat(whole.chunks).toString(), rule));
    response.writeHead(200, { ...kept, 'content-length': text.length });
    response.end(text);
    return;
  }
  response.writeHead(answer.statusCode ?? 502, kept);
  for (const chunk of whole?.chunks ?? []) response.write(chunk);
  await pipeline(answer, response);
}

function isDump(path: string): boolean {
  return /^\/config_dump(?:\?|$)/.test(path);
}

async function readUpTo(
  answer: IncomingMessage,
  most: number,
): Promise<{ readonly chunks: readonly Buffer[]; readonly isComplete: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const chunk = answer.read() as Buffer | null;
    if (chunk) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > most) return { chunks, isComplete: false };
    } else if (answer.readableEnded) return { chunks, isComplete: true };
    else
      await new Promise<void>((resolve, reject) => {
        answer.once('readable', resolve).once('end', resolve).once('error', reject);
      });
  }
}

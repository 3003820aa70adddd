import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { http } from '../kit/node-http.ts';
import type { AgentLog } from './agent-log.ts';
import type { EnvoyAdmin } from './envoy-admin.ts';
import { type ConstantLabels, rewriteMetrics } from './metrics-merge.ts';

export interface EndpointsOptions {
  bindAddress: string;
  /** 0 with `ephemeral`: any free one; 0 without: none. */
  ports: { readiness: number; metrics: number };
  admin: EnvoyAdmin;
  labels: ConstantLabels;
  applicationMetrics?: { port: number; path: string };
  /** Undefined: ready. */
  readiness(): Promise<string | undefined>;
  /** The agent's own series, Prometheus text. */
  ownMetrics(): string;
  /** Starts draining; resolves when it is over. */
  drain(): Promise<void>;
  /** Starts draining and then ends Envoy and the agent. */
  quit(): void;
  log: AgentLog;
}

const MAX_SCRAPES = 4;
/** A scrape that is read more slowly is cut off, ms: it would keep others from theirs. */
const SCRAPE_TIMEOUT_MS = 60_000;
const APPLICATION_TIMEOUT_MS = 5_000;
const MAX_APPLICATION_BYTES = 16 << 20;
const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Readiness on its port; metrics, drain and quit on theirs. */
export async function startEndpoints(options: EndpointsOptions): Promise<{ close(): Promise<void> }> {
  let scrapes = 0;
  const routes: Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>> = {
    'GET /healthz/ready': async (_request, response) => {
      const problem = await options.readiness();
      reply(response, problem === undefined ? 200 : 503, problem ?? 'ready');
    },
    'GET /stats/prometheus': async (_request, response) => {
      if (scrapes >= MAX_SCRAPES) return reply(response, 503, 'too many scrapes at one time');
      scrapes++;
      try {
        await scrape(response, options);
      } finally {
        scrapes--;
      }
    },
    'POST /drain': async (incoming, response) => {
      const refusal = strangerProblem(incoming);
      if (refusal) return reply(response, 403, refusal);
      await options.drain();
      reply(response, 200, 'drained');
    },
    'POST /quitquitquit': async (incoming, response) => {
      const refusal = strangerProblem(incoming);
      if (refusal) return reply(response, 403, refusal);
      reply(response, 200, 'OK');
      options.quit();
    },
  };
  const servers: Server[] = [];
  try {
    for (const [name, port] of new Map([
      ['readiness', options.ports.readiness],
      ['metrics', options.ports.metrics],
    ]))
      if (port > 0) {
        const own = name === 'readiness' ? ['GET /healthz/ready'] : Object.keys(routes);
        servers.push(await listen(name, port, pick(routes, own), options));
      }
  } catch (error) {
    await Promise.all(servers.map(close));
    throw error;
  }
  return {
    async close() {
      await Promise.all(servers.map(close));
    },
  };
}

async function scrape(response: ServerResponse, options: EndpointsOptions): Promise<void> {
  response.writeHead(200, { 'content-type': PROMETHEUS_TEXT });
  async function* parts(): AsyncGenerator<string | Buffer> {
    yield options.ownMetrics();
    try {
      yield* rewriteMetrics(await options.admin.open('/stats/prometheus'), options.labels);
    } catch (error) {
      options.log.warn(`Envoy's metrics are missing from a scrape: ${messageOf(error)}`);
    }
    if (!options.applicationMetrics) return;
    try {
      yield* applicationMetrics(options.applicationMetrics);
    } catch (error) {
      options.log.warn(`the application's metrics are missing from a scrape: ${messageOf(error)}`);
    }
  }
  const signal = AbortSignal.timeout(SCRAPE_TIMEOUT_MS);
  await pipeline(Readable.from(parts()), response as unknown as Transform, { signal }).catch(() =>
    response.destroy(),
  );
}

async function* applicationMetrics(target: { port: number; path: string }): AsyncGenerator<Buffer> {
  // Of the whole answer: one that comes letter by letter would keep a place for ever.
  const signal = AbortSignal.timeout(APPLICATION_TIMEOUT_MS);
  const tooLate = new Error(`no whole answer within ${APPLICATION_TIMEOUT_MS} ms`);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = http.request(
      {
        host: '127.0.0.1',
        port: target.port,
        path: target.path,
        agent: false,
        signal,
        headers: { accept: PROMETHEUS_TEXT },
      },
      resolve,
    );
    sent.on('error', (error) => reject(signal.aborted ? tooLate : error));
    sent.end();
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`it answered ${response.statusCode}`);
  }
  let size = 0;
  let last = 10;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_APPLICATION_BYTES) throw new Error(`more than ${MAX_APPLICATION_BYTES} bytes`);
      last = chunk.at(-1) ?? last;
      yield chunk;
    }
  } catch (error) {
    throw signal.aborted ? tooLate : error;
  }
  if (last !== 10) yield Buffer.from('\n');
}

async function listen(
  name: string,
  port: number,
  routes: Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>>,
  options: EndpointsOptions,
): Promise<Server> {
  const server = http.createServer({
    requestTimeout: 10_000,
    headersTimeout: 5_000,
    keepAliveTimeout: 5_000,
  });
  server.maxConnections = 64;
  server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    incoming.resume();
    response.on('error', () => {});
    const [path] = (incoming.url ?? '').split('?');
    const route = routes[`${incoming.method === 'HEAD' ? 'GET' : incoming.method} ${path}`];
    if (!route) return reply(response, 404, `no such path; this port has ${Object.keys(routes).join(', ')}`);
    route(incoming, response).catch((error) => {
      options.log.warn(`${incoming.method} ${path} failed: ${messageOf(error)}`);
      if (response.headersSent) response.destroy();
      else reply(response, 500, 'internal error');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CodedError(
          'PortUnavailable',
          error.code === 'EADDRINUSE'
            ? `the ${name} port ${options.bindAddress}:${port} is in use; choose another with ports.${name}`
            : `cannot listen on the ${name} port ${options.bindAddress}:${port}: ${error.message}`,
        ),
      ),
    );
    server.listen(port, options.bindAddress, resolve);
  });
  options.log.debug(`${name} port`, { port: (server.address() as AddressInfo).port });
  return server;
}

/** Ending a workload is for processes beside it: not for other machines, and not for a web page in a browser on this one. */
function strangerProblem(incoming: IncomingMessage): string | undefined {
  const address = incoming.socket.remoteAddress ?? '';
  const loopback = address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
  if (!loopback) return 'only from this machine';
  if (incoming.headers.origin !== undefined || incoming.headers['sec-fetch-site'] !== undefined)
    return 'not from a browser';
  return undefined;
}

function reply(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

function pick<T>(all: Record<string, T>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

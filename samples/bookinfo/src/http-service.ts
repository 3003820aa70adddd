import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a handler answers. Objects are sent as JSON, strings as they are. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | object;
}

export interface Call {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  /** What the pattern's groups matched. */
  readonly groups: Readonly<Record<string, string>>;
  /** The request's body as text, at most 64 KiB. */
  body(): Promise<string>;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: RegExp;
  handle(call: Call): Reply | Promise<Reply>;
}

/**
 * Headers that an application must copy from the request it serves to the requests it makes: tracing contexts of all
 * customary systems, who the user is, and his credentials.
 */
const forwarded = [
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-ot-span-context',
  'x-datadog-trace-id',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'x-cloud-trace-context',
  'grpc-trace-bin',
  'sw8',
  'end-user',
  'user-agent',
  'cookie',
  'authorization',
  'jwt',
];

export function headersToForward(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    forwarded.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

/**
 * Where another service is: `<NAME>_URL`, else the Kubernetes convention `<NAME>_SERVICE_HOST` and `_PORT`, else its name on
 * port 9080.
 */
export function serviceUrl(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const prefix = name.toUpperCase();
  return (
    env[`${prefix}_URL`] ??
    `http://${env[`${prefix}_SERVICE_HOST`] ?? name}:${env[`${prefix}_SERVICE_PORT`] ?? '9080'}`
  );
}

/** What another service answered; status 0 means that no answer came within the time. */
export interface Answer {
  readonly status: number;
  readonly json: unknown;
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** GET with a limit for the whole exchange. Never rejects. */
export function getJson(
  url: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve) => {
    const failed = (error: unknown): void => {
      console.error(`GET ${url}: ${error instanceof Error ? error.message : error}`);
      resolve({ status: 0, json: undefined });
    };
    const outgoing = request(url, { agent, headers, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', failed);
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        try {
          resolve({ status, json: JSON.parse(Buffer.concat(chunks).toString('utf8')) });
        } catch {
          resolve({ status: status === 200 ? 502 : status, json: undefined });
        }
      });
    });
    outgoing.on('error', failed);
    outgoing.end();
  });
}

const maxBody = 64 * 1024;

async function readBody(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message) {
    size += chunk.length;
    if (size > maxBody) throw new Error(`the body is larger than ${maxBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, { status = 200, headers = {}, body = '' }: Reply): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, {
    'content-type': typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

async function answer(routes: readonly Route[], message: IncomingMessage): Promise<Reply> {
  const url = new URL(message.url ?? '/', 'http://localhost');
  const method = message.method === 'HEAD' ? 'GET' : (message.method ?? 'GET');
  const matching = routes.flatMap((route) => {
    const match = route.path.exec(url.pathname);
    return match ? [{ route, groups: match.groups ?? {} }] : [];
  });
  const found = matching.find(({ route }) => route.method === method);
  if (!found)
    return matching.length > 0
      ? { status: 405, body: { error: `${method} is not answered here` } }
      : { status: 404, body: { error: `there is nothing at ${url.pathname}` } };
  return found.route.handle({
    method,
    url,
    headers: message.headers,
    groups: found.groups,
    body: () => readBody(message),
  });
}

/**
 * Serves the routes on 127.0.0.1 (or `HOST`) at `PORT`, by default 9080; 0 takes a free port. Ends gracefully on SIGTERM and
 * SIGINT.
 */
export function serve(name: string, routes: readonly Route[]): void {
  const server = createServer(async (message, response) => {
    const start = performance.now();
    let reply: Reply;
    try {
      reply = await answer(routes, message);
    } catch (error) {
      reply = { status: 500, body: { error: error instanceof Error ? error.message : String(error) } };
    }
    send(response, reply);
    if (message.url !== '/health')
      console.log(
        `${message.method} ${message.url} ${reply.status ?? 200} ${(performance.now() - start).toFixed(1)} ms`,
      );
  });
  // Longer than any proxy in front keeps an idle connection: the proxy, not we, must be the one to close it.
  server.keepAliveTimeout = 3_700_000;
  server.listen(Number(process.env.PORT ?? 9080), process.env.HOST ?? '127.0.0.1', () => {
    const { address, port } = server.address() as AddressInfo;
    console.log(`${name} listens on http://${address}:${port}`);
  });
  const stop = (): void => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 5_000).unref();
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

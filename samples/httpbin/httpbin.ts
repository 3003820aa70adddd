// Answers that show what arrived, and misbehaviour on demand, under the paths that people know from httpbin:
//   /headers /ip /user-agent /get /post /put /patch /delete /anything[/…] /status/CODE[,CODE…] /delay/SECONDS
//   /stream/LINES /bytes/COUNT /redirect-to?url= /response-headers?name=value /basic-auth/USER/PASSWORD /health
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const maxBody = 1024 * 1024;
const maxDelaySeconds = 60;
const maxLines = 10_000;
const maxBytes = 10 * 1024 * 1024;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** What follows the first part of the path. */
  readonly rest: readonly string[];
}

class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function sendJson({ response }: Exchange, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(value, null, 2)}\n`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxBody) throw new Refused(413, `the body is larger than ${maxBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** As they came over the wire, repeated ones joined. */
function headersOf(request: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(request.headersDistinct).map(([name, values]) => [name, (values ?? []).join(',')]),
  );
}

function originOf(request: IncomingMessage): string {
  const forwarded = request.headers['x-forwarded-for'];
  return (typeof forwarded === 'string' ? forwarded : request.socket.remoteAddress) ?? '';
}

async function describe(exchange: Exchange): Promise<object> {
  const { request, url } = exchange;
  const body = (await readBody(request)).toString('utf8');
  let json: unknown = null;
  try {
    json = JSON.parse(body);
  } catch {
    // Not JSON: shown as text only.
  }
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
  return {
    method: request.method,
    url: `http://${request.headers.host ?? ''}${request.url}`,
    args: Object.fromEntries(url.searchParams),
    headers: headersOf(request),
    origin: originOf(request),
    data: isForm ? '' : body,
    form: isForm ? Object.fromEntries(new URLSearchParams(body)) : {},
    json,
    instance: process.env.HOSTNAME ?? 'unknown',
    version: process.env.SERVICE_VERSION ?? 'v1',
  };
}

function numberIn(text: string | undefined, what: string, max: number): number {
  const value = Number(text);
  if (text === undefined || text === '' || !(value >= 0 && value <= max))
    throw new Refused(400, `${what} must be a number from 0 to ${max}`);
  return value;
}

type Handler = (exchange: Exchange) => void | Promise<void>;

const echo: Handler = async (exchange) => sendJson(exchange, await describe(exchange));

function only(method: string): Handler {
  return (exchange) => {
    const { request } = exchange;
    if (request.method !== method && !(method === 'GET' && request.method === 'HEAD'))
      throw new Refused(405, `this path answers ${method}`);
    return echo(exchange);
  };
}

const handlers: Readonly<Record<string, Handler>> = {
  '': (exchange) => sendJson(exchange, { paths: Object.keys(handlers).map((name) => `/${name}`) }),
  health: (exchange) => sendJson(exchange, { status: 'httpbin is healthy' }),
  headers: (exchange) => sendJson(exchange, { headers: headersOf(exchange.request) }),
  ip: (exchange) => sendJson(exchange, { origin: originOf(exchange.request) }),
  'user-agent': (exchange) =>
    sendJson(exchange, { 'user-agent': exchange.request.headers['user-agent'] ?? null }),
  get: only('GET'),
  post: only('POST'),
  put: only('PUT'),
  patch: only('PATCH'),
  delete: only('DELETE'),
  anything: echo,
  status: ({ response, rest }) => {
    const codes = (rest[0] ?? '').split(',').map((code) => numberIn(code, 'a status', 599));
    const code = codes[Math.floor(Math.random() * codes.length)] ?? 0;
    if (code < 200) throw new Refused(400, 'a status must be from 200 to 599');
    response.writeHead(code).end();
  },
  delay: async (exchange) => {
    const seconds = numberIn(exchange.rest[0], 'a delay', maxDelaySeconds);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    await echo(exchange);
  },
  stream: async (exchange) => {
    const lines = numberIn(exchange.rest[0], 'the number of lines', maxLines);
    const { response } = exchange;
    const what = await describe(exchange);
    response.writeHead(200, { 'content-type': 'application/json' });
    for (let id = 0; id < lines && !response.destroyed; id++)
      if (!response.write(`${JSON.stringify({ id, ...what })}\n`))
        await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
    response.end();
  },
  bytes: ({ response, rest }) => {
    const count = numberIn(rest[0], 'the number of bytes', maxBytes);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': count });
    response.end(Buffer.alloc(count, 'x'));
  },
  'redirect-to': ({ response, url }) => {
    response.writeHead(302, { location: url.searchParams.get('url') ?? '/' }).end();
  },
  'response-headers': (exchange) => {
    for (const [name, value] of exchange.url.searchParams) exchange.response.appendHeader(name, value);
    sendJson(exchange, Object.fromEntries(exchange.url.searchParams));
  },
  'basic-auth': (exchange) => {
    const [user, password] = exchange.rest;
    const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    if (exchange.request.headers.authorization === expected)
      return sendJson(exchange, { authenticated: true, user });
    exchange.response.writeHead(401, { 'www-authenticate': 'Basic realm="httpbin"' }).end();
  },
};

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const [first = '', ...rest] = url.pathname.slice(1).split('/');
  const exchange: Exchange = { request, response, url, rest };
  try {
    const handler = Object.hasOwn(handlers, first) ? handlers[first] : undefined;
    if (!handler) throw new Refused(404, `there is nothing at ${url.pathname}`);
    await handler(exchange);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else
      sendJson(
        exchange,
        { error: error instanceof Error ? error.message : String(error) },
        error instanceof Refused ? error.status : 500,
      );
  }
});
server.keepAliveTimeout = 3_700_000;
server.listen(Number(process.env.PORT ?? 8000), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`httpbin listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 5_000).unref();
  });

// A workload from which others are called. It does nothing by itself; told so over HTTP it issues requests from where it
// runs, through its sidecar, and says what came back:
//
//   POST /call  {"url": "http://reviews:9080/reviews/0", "count": 10, "headers": {"end-user": "jason"}}
//
// A host of the mesh is called at its `<NAME>_SERVICE_HOST`/`_PORT` where the environment has it, else through `HTTP_PROXY`.
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Order {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How often, one after the other. Default 1, at most 10,000. */
  readonly count?: number;
  /** At most so many at a time. Default 1, at most 64. */
  readonly concurrency?: number;
  /** For each request. Default 15,000. */
  readonly timeoutMs?: number;
}

interface Outcome {
  /** 0: no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly ms: number;
  readonly error?: string;
}

const maxBody = 1024 * 1024;

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message) {
    size += chunk.length;
    if (size > maxBody) throw new Error(`the body is larger than ${maxBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Where to connect for a URL, and what to ask there. */
export function wayTo(url: URL, env: NodeJS.ProcessEnv): { host: string; port: number; path: string } {
  const service = (url.hostname.split('.')[0] ?? '').toUpperCase().replaceAll('-', '_');
  const inMesh = /^[^.]+$|\.svc(\.|$)|^[^.]+\.[^.]+$/.test(url.hostname) && url.hostname !== 'localhost';
  const host = env[`${service}_SERVICE_HOST`];
  const port = env[`${service}_SERVICE_PORT`];
  const wanted = url.port === '' ? 80 : Number(url.port);
  const local = env[`${service}_SERVICE_PORT_${wanted}`] ?? port;
  const path = `${url.pathname}${url.search}`;
  if (inMesh && host !== undefined && local !== undefined) return { host, port: Number(local), path };
  const proxy = env.HTTP_PROXY ?? env.http_proxy;
  const isLocal = url.hostname === 'localhost' || url.hostname.startsWith('127.');
  if (proxy === undefined || isLocal) return { host: url.hostname, port: wanted, path };
  const via = new URL(proxy);
  return { host: via.hostname, port: Number(via.port || 80), path: url.href };
}

function call(order: Order): Promise<Outcome> {
  const url = new URL(order.url);
  const way = wayTo(url, process.env);
  const start = performance.now();
  return new Promise((resolve) => {
    const fail = (error: unknown): void =>
      resolve({
        status: 0,
        headers: {},
        body: '',
        ms: performance.now() - start,
        error: error instanceof Error ? error.message : String(error),
      });
    const outgoing = request(
      {
        ...way,
        method: order.method ?? 'GET',
        headers: { host: url.host, ...order.headers },
        signal: AbortSignal.timeout(order.timeoutMs ?? 15_000),
      },
      (response) => {
        readText(response).then(
          (body) =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body,
              ms: performance.now() - start,
            }),
          fail,
        );
      },
    );
    outgoing.on('error', fail);
    outgoing.end(order.body);
  });
}

async function carryOut(order: Order): Promise<Outcome[]> {
  const count = Math.min(Math.max(1, order.count ?? 1), 10_000);
  const outcomes: Outcome[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started++;
      outcomes.push(await call(order));
    }
  };
  await Promise.all(Array.from({ length: Math.min(order.concurrency ?? 1, 64, count) }, worker));
  return outcomes;
}

const server = createServer(async (message, response) => {
  const answer = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  try {
    if (message.url === '/health') return answer(200, { status: 'sleep is healthy' });
    if (message.url !== '/call' || message.method !== 'POST')
      return answer(404, { error: 'POST /call with {"url": …} makes a request from here' });
    const order = JSON.parse(await readText(message)) as Order;
    if (typeof order.url !== 'string' || !URL.canParse(order.url))
      return answer(400, { error: 'url must be an absolute URL' });
    answer(200, { outcomes: await carryOut(order) });
  } catch (error) {
    answer(400, { error: error instanceof Error ? error.message : String(error) });
  }
});
server.keepAliveTimeout = 3_700_000;
server.listen(Number(process.env.PORT ?? 8080), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`sleep listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    server.closeAllConnections();
    server.close(() => process.exit(0));
  });

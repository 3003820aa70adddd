// Says which version answers: GET /hello. PORT (default 5000), SERVICE_VERSION (v1), HOSTNAME.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const version = process.env.SERVICE_VERSION ?? 'v1';
const instance = process.env.HOSTNAME ?? 'unknown';

const server = createServer((request, response) => {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  const known = path === '/hello' || path === '/health' || path === '/';
  const text =
    path === '/health'
      ? 'helloworld is healthy\n'
      : known
        ? `Hello version: ${version}, instance: ${instance}\n`
        : `there is nothing at ${path}\n`;
  response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
});
server.keepAliveTimeout = 3_700_000;
server.listen(Number(process.env.PORT ?? 5000), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`helloworld ${version} listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 5_000).unref();
  });

import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../test/support/ports.ts';
import type { WorkloadProbe } from '../kit/registration.ts';
import { probeOnce } from './probe.ts';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const serve = (answer: RequestListener): Promise<number> => listen(createServer(answer));
const ask = (probe: WorkloadProbe) =>
  probeOnce({ timeoutSeconds: 30, ...probe }, (port) => port, '127.0.0.1');

test('HTTP: what is asked, and that a status from 200 to 399 is well', async () => {
  const port = await serve((request, response) => {
    response.statusCode = request.headers['x-probe'] === 'yes' ? Number(request.url?.slice(1)) : 500;
    response.end();
  });
  const status = (path: string) =>
    ask({ httpGet: { port, path, httpHeaders: [{ name: 'x-probe', value: 'yes' }] } });
  expect(await status('/200')).toBeUndefined();
  expect(await status('399')).toBeUndefined();
  expect(await status('/400')).toBe('/400 answers 400');
});

test('HTTP: an answer that comes letter by letter is none in time; one without an end is one', async () => {
  const trickling = await listen(
    createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 200 OK\r\nX: ');
      const timer = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(timer));
    }),
  );
  const silent = await listen(createTcpServer((socket) => void socket.on('error', () => undefined).resume()));
  const get = (port: number) => ask({ httpGet: { port, path: '/x' }, timeoutSeconds: 0.2 });
  expect(await get(trickling)).toBe('/x: no answer within 200 ms');
  expect(await get(silent)).toBe('/x: no answer within 200 ms');
  const endless = await serve((_, response) => {
    response.write('a beginning');
  });
  expect(await ask({ httpGet: { port: endless } })).toBeUndefined();
});

test('TCP: a port that somebody listens on is well', async () => {
  expect(await ask({ tcpSocket: { port: await serve(() => undefined) } })).toBeUndefined();
  expect(await ask({ tcpSocket: { port: await freePort() } })).toMatch(/ECONNREFUSED/);
});

test('a program is well that ends with 0 in time', async () => {
  const run = (script: string, timeoutSeconds = 30) =>
    ask({ exec: { command: [process.execPath, '-e', script] }, timeoutSeconds });
  expect(await run('')).toBeUndefined();
  expect(await run('process.exit(3)')).toMatch(/ended with 3$/);
  expect(await run('setInterval(() => {}, 1000)', 0.2)).toMatch(/ended with SIGKILL$/);
  expect(await ask({ exec: { command: ['/nowhere/at-all'] } })).toMatch(/cannot be started: .*ENOENT/);
});

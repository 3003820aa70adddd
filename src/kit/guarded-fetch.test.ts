import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { badRange, guardedFetch } from './guarded-fetch.ts';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const loopback = { allowed: ['127.0.0.0/8'] };
const text = async (url: string, options = {}) =>
  new TextDecoder().decode(await guardedFetch(url, { ...loopback, ...options }));

test('the body of a 200', async () => {
  const port = await serve((_, response) => response.end('{"keys":[]}'));
  expect(await text(`http://127.0.0.1:${port}/`)).toBe('{"keys":[]}');
  expect(await text(`http://localhost:${port}/`, { allowed: ['127.0.0.0/8', '::1/128'] })).toBe(
    '{"keys":[]}',
  );
});

test.each([
  'http://127.0.0.1:1/',
  'http://localhost:1/',
  'http://[::1]:1/',
  'http://[::ffff:127.0.0.1]:1/',
  'http://10.0.0.1/',
  'http://169.254.169.254/latest/meta-data',
  'http://192.168.1.1/',
  'http://172.16.0.1/',
  'http://[fd00::1]/',
  'http://[fe80::1]/',
  'http://0.0.0.0:1/',
  'http://2130706433/',
  'http://0x7f.1/',
  'file:///etc/passwd',
  'no url',
])('%s is refused, whatever listens there', async (url) => {
  await expect(guardedFetch(url)).rejects.toMatchObject({ code: 'FetchRefused' });
});

test('a redirect into a private network is refused, a public one is followed three times', async () => {
  const port = await serve((request, response) => {
    const left = Number(request.url?.slice(1));
    const location = Number.isNaN(left) ? 'http://10.0.0.1/' : `/${left - 1}`;
    if (left === 0) response.end('here');
    else response.writeHead(302, { location }).end();
  });
  expect(await text(`http://127.0.0.1:${port}/3`)).toBe('here');
  await expect(text(`http://127.0.0.1:${port}/4`)).rejects.toThrow('redirects');
  await expect(text(`http://127.0.0.1:${port}/away`)).rejects.toMatchObject({ code: 'FetchRefused' });
});

test('too long, too slow, and other statuses fail with their reason', async () => {
  const long = await serve((_, response) => response.end('x'.repeat(2_000)));
  await expect(text(`http://127.0.0.1:${long}/`, { maxBytes: 1_000 })).rejects.toThrow(
    'longer than 1000 bytes',
  );
  const slow = await serve(() => {});
  await expect(text(`http://127.0.0.1:${slow}/`, { timeoutMs: 100 })).rejects.toThrow(
    'did not answer in 0.1 s',
  );
  const trickle = await serve((_, response) => response.write('x'));
  await expect(text(`http://127.0.0.1:${trickle}/`, { timeoutMs: 100 })).rejects.toMatchObject({
    code: 'FetchFailed',
  });
  const broken = await serve((_, response) => response.writeHead(503).end());
  await expect(text(`http://127.0.0.1:${broken}/`)).rejects.toThrow('answered 503');
  await expect(text('http://127.0.0.1:1/')).rejects.toThrow(/ECONNREFUSED|refused/);
});

test('ranges that users write', () => {
  expect(badRange(['127.0.0.0/8', '::1/128'])).toBeUndefined();
  expect(badRange(['127.0.0.0/8', 'localhost'])).toBe('localhost');
});

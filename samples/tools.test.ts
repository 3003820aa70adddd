import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const children: ChildProcess[] = [];

function start(program: string, env: Record<string, string> = {}): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, program)], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const url = /listens on (\S+)/.exec(text)?.[1];
      if (url) resolve(url);
    });
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
}

let httpbin: string;
beforeAll(async () => {
  httpbin = await start('httpbin/httpbin.ts', { HOSTNAME: 'httpbin-0' });
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

test('helloworld says its version and instance', async () => {
  const url = await start('helloworld/helloworld.ts', { SERVICE_VERSION: 'v2', HOSTNAME: 'helloworld-v2-0' });
  expect(await (await fetch(`${url}/hello`)).text()).toBe('Hello version: v2, instance: helloworld-v2-0\n');
  expect((await fetch(`${url}/nowhere`)).status).toBe(404);
});

test('httpbin shows what arrived', async () => {
  const answer = await fetch(`${httpbin}/anything/deep?a=1`, {
    method: 'PUT',
    headers: { 'x-mine': 'yes', 'content-type': 'application/json' },
    body: '{"k":[1]}',
  });
  expect(await answer.json()).toMatchObject({
    method: 'PUT',
    args: { a: '1' },
    json: { k: [1] },
    instance: 'httpbin-0',
    headers: { 'x-mine': 'yes' },
  });
  expect(await (await fetch(`${httpbin}/headers`, { headers: { 'x-a': 'b' } })).json()).toMatchObject({
    headers: { 'x-a': 'b' },
  });
  expect(
    await (await fetch(`${httpbin}/ip`, { headers: { 'x-forwarded-for': '192.0.2.7' } })).json(),
  ).toEqual({
    origin: '192.0.2.7',
  });
  expect((await fetch(`${httpbin}/post`)).status).toBe(405);
});

test('httpbin misbehaves on demand', async () => {
  expect((await fetch(`${httpbin}/status/418`)).status).toBe(418);
  expect([502, 503]).toContain((await fetch(`${httpbin}/status/502,503`)).status);
  expect((await fetch(`${httpbin}/status/abc`)).status).toBe(400);
  expect((await fetch(`${httpbin}/status/100`)).status).toBe(400);
  const start = performance.now();
  expect((await fetch(`${httpbin}/delay/0.3`)).status).toBe(200);
  expect(performance.now() - start).toBeGreaterThan(290);
  const lines = (await (await fetch(`${httpbin}/stream/3`)).text()).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).id)).toEqual([0, 1, 2]);
  expect((await (await fetch(`${httpbin}/bytes/1000`)).text()).length).toBe(1000);
  expect((await fetch(`${httpbin}/basic-auth/u/p`)).status).toBe(401);
  expect((await fetch(`${httpbin}/nowhere`)).status).toBe(404);
});

test('sleep calls what it is told, by the environment’s address for a service and by the proxy for the rest', async () => {
  const { hostname, port } = new URL(httpbin);
  const url = await start('sleep/sleep.ts', {
    HTTPBIN_SERVICE_HOST: hostname,
    HTTPBIN_SERVICE_PORT: port,
    HTTP_PROXY: httpbin,
  });
  const order = async (body: object) => {
    const answer = await fetch(`${url}/call`, { method: 'POST', body: JSON.stringify(body) });
    return (await answer.json()) as { outcomes: { status: number; body: string }[]; error?: string };
  };
  const { outcomes } = await order({
    url: 'http://httpbin:8000/headers',
    count: 5,
    concurrency: 2,
    headers: { 'x-a': '1' },
  });
  expect(outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(JSON.parse(outcomes[0]?.body ?? '{}')).toMatchObject({
    headers: { host: 'httpbin:8000', 'x-a': '1' },
  });
  const outside = await order({ url: 'http://www.example.com/get' });
  expect(outside.outcomes[0]?.status).toBe(200);
  expect((await order({ url: 'nonsense' })).error).toContain('absolute URL');
});

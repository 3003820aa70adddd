import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { socketPaths } from '../../agent/socket-paths.ts';
import type { User } from '../../config/access/user.ts';
import { http } from '../../kit/node-http.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import { type CallLogPart, workloadActions, workloadPaths } from './workload-paths.ts';

let workloads: string;
let envoy: Server;
const asked: string[] = [];
const admin: User = { name: 'admin', groups: [] };
const account = (namespace: string): User => ({
  name: `system:serviceaccount:${namespace}:default`,
  groups: [],
});

beforeAll(async () => {
  workloads = mkdtempSync(join(tmpdir(), 'ostria-workloads-'));
  mkdirSync(join(workloads, 'web-0'));
  mkdirSync(join(workloads, 'edge'));
  envoy = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.statusCode = request.url?.startsWith('/logging?paths') ? 400 : 200;
    response.end(`answer to ${request.url}`);
  });
  envoy.listen(socketPaths(join(workloads, 'web-0')).admin);
  await once(envoy, 'listening');
});
afterAll(async () => {
  envoy.close();
  await once(envoy, 'close');
  rmSync(workloads, { recursive: true, force: true });
});

const options = {
  get workloads() {
    return workloads;
  },
  proxies: () =>
    new Map([
      ['a', { name: 'web-0', namespace: 'shop' } as MeshProxy],
      ['b', { name: 'edge', namespace: 'istio-system' } as MeshProxy],
    ]),
  rootNamespace: () => 'istio-system',
};
const get = (path: string, query: Record<string, string>, user = admin) =>
  Promise.resolve().then(() => workloadPaths(options)[path]?.(new URLSearchParams(query), user));
const post = (query: Record<string, string>) =>
  Promise.resolve().then(() =>
    workloadActions(options)['/debug/envoy']?.(new URLSearchParams(query), async () => undefined),
  );

test('Envoy’s pages that tell are passed on, others are refused', async () => {
  const page = '/config_dump?include_eds';
  expect(await get('/debug/envoy', { workload: 'web-0', page })).toEqual({ text: `answer to ${page}` });
  await get('/debug/envoy', { workload: 'web-0', page: '/logging' });
  expect(asked.at(-1)).toBe('POST /logging');
  const before = asked.length;
  for (const refused of ['/quitquitquit', '/logging?level=trace', '/', '', '/certs/../drain_listeners'])
    await expect(get('/debug/envoy', { workload: 'web-0', page: refused })).rejects.toThrow('is not shown');
  for (const refused of [
    '/quitquitquit',
    '/healthcheck/fail',
    '/runtime_modify?other=1',
    '/logging?level=trace&x',
  ])
    await expect(post({ workload: 'web-0', page: refused })).rejects.toThrow('cannot be changed');
  expect(asked).toHaveLength(before);
});

test('log levels and the share of recorded calls can be set', async () => {
  for (const page of [
    '/logging?level=debug',
    '/runtime_modify?ostria.observe=100',
    '/runtime_modify?ostria.observe=',
  ])
    expect(await post({ workload: 'web-0', page })).toEqual({ text: `answer to ${page}` });
  await expect(post({ workload: 'web-0', page: '/logging?paths=nope%3Adebug' })).rejects.toThrow(
    'Envoy answers /logging?paths=nope%3Adebug with 400',
  );
});

test('a service account sees the workloads of its namespace alone, and nobody what is none', async () => {
  expect(await get('/debug/workloads', {})).toEqual(['edge', 'web-0']);
  expect(await get('/debug/workloads', {}, account('shop'))).toEqual(['web-0']);
  expect(await get('/debug/workloads', {}, account('other'))).toEqual([]);
  expect(await get('/debug/workloads', {}, account('istio-system'))).toEqual(['edge', 'web-0']);
  const page = '/certs';
  await expect(get('/debug/envoy', { workload: 'edge', page }, account('shop'))).rejects.toMatchObject({
    status: { code: 404 },
  });
  for (const workload of ['..', '../web-0', '', 'nope'])
    await expect(get('/debug/envoy', { workload, page })).rejects.toMatchObject({ status: { code: 404 } });
  await expect(get('/debug/envoy', { workload: 'edge', page })).rejects.toMatchObject({
    status: { code: 503 },
  });
});

test('a log of calls is read from where it was read before, by complete lines', async () => {
  const path = join(workloads, 'web-0', 'envoy.log');
  const read = (query: Record<string, string> = {}) =>
    get('/debug/calls', { workload: 'web-0', ...query }) as Promise<CallLogPart>;
  expect(await read()).toEqual({ text: '', next: 0 });
  writeFileSync(path, 'one\ntwo\nhal');
  expect(await read()).toEqual({ text: 'one\ntwo\n', next: 8 });
  writeFileSync(path, 'one\ntwo\nhalf\n');
  expect(await read({ from: '8' })).toEqual({ text: 'half\n', next: 13 });
  expect(await read({ from: '13' })).toEqual({ text: '', next: 13 });
  writeFileSync(path, 'new\n');
  expect(await read({ from: '13' })).toEqual({ text: 'new\n', next: 4 });
  await expect(read({ from: '-1' })).rejects.toThrow('from must be');
});

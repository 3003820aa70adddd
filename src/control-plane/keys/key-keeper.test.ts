import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FetchedKeys } from '../../features/security/request-authentication/schema.ts';
import type { WorldChange } from '../../snapshot/world.ts';
import { KeyKeeper } from './key-keeper.ts';

const privateJwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
let directory: string;
let server: Server;
let base: string;
let answers: Map<string, string>;
let asked: string[];
let known: Map<string, FetchedKeys>;
let keepers: KeyKeeper[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-keys-'));
  [answers, asked, known, keepers] = [new Map(), [], new Map(), []];
  server = createServer((request, response) => {
    const body = answers.get(request.url ?? '');
    asked.push(request.url ?? '');
    response.writeHead(body === undefined ? 500 : 200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const keeper of keepers) await keeper.close();
  server.close();
  rmSync(directory, { recursive: true });
});

function start(options: { refreshMs?: number; allowed?: string[] } = {}): KeyKeeper {
  const keeper = new KeyKeeper({
    publish: (changes) => {
      for (const { key, value } of changes)
        if (value === undefined) known.delete(key);
        else known.set(key, value as FetchedKeys);
    },
    fetch: { allowed: options.allowed ?? ['127.0.0.0/8'] },
    cacheFile: join(directory, 'keys.json'),
    ...(options.refreshMs !== undefined ? { refreshMs: options.refreshMs } : {}),
  });
  keepers.push(keeper);
  return keeper;
}

function policy(name: string, ...jwtRules: object[]): WorldChange {
  return {
    kind: 'RequestAuthentication',
    key: `default/${name}`,
    value: { metadata: { name }, spec: { jwtRules } },
  };
}

test('keys are fetched, without what is private, and forgotten with the last object that names them', async () => {
  answers.set(
    '/keys',
    JSON.stringify({
      keys: [
        { ...privateJwk, kid: 'a' },
        { kty: 'oct', k: 'c2VjcmV0' },
      ],
    }),
  );
  const url = `${base}/keys`;
  const keeper = start();
  keeper.apply([policy('a', { jwksUri: url }), policy('b', { jwksUri: url })]);
  await expect.poll(() => known.get(url)?.keys).toContain('"kid":"a"');
  expect(known.get(url)?.keys).not.toMatch(/"d"|oct/);
  expect(asked).toEqual(['/keys']);
  keeper.apply([{ kind: 'RequestAuthentication', key: 'default/a', value: undefined }]);
  expect(known.has(url)).toBe(true);
  keeper.apply([policy('b')]);
  expect(known.has(url)).toBe(false);
});

test('an issuer is asked where its keys are, and must speak for itself', async () => {
  answers.set('/keys', JSON.stringify({ keys: [privateJwk] }));
  const document = (issuer: string) => JSON.stringify({ issuer, jwks_uri: `${base}/keys` });
  answers.set('/good/.well-known/openid-configuration', document(`${base}/good`));
  answers.set('/evil/.well-known/openid-configuration', document(`${base}/good`));
  start().apply([policy('a', { issuer: `${base}/good` }, { issuer: `${base}/evil` })]);
  await expect.poll(() => known.get(`discover ${base}/good`)?.keys).toBeDefined();
  await expect.poll(() => known.get(`discover ${base}/evil`)?.problem).toContain('speaks for the issuer');
  expect(known.get(`discover ${base}/evil`)?.keys).toBeUndefined();
});

test('new keys replace the old ones; while the issuer fails the last ones stay, over a restart too', async () => {
  const url = `${base}/keys`;
  const set = (kid: string) => answers.set('/keys', JSON.stringify({ keys: [{ ...privateJwk, kid }] }));
  set('first');
  const keeper = start({ refreshMs: 30 });
  keeper.apply([policy('a', { jwksUri: url })]);
  await expect.poll(() => known.get(url)?.keys).toContain('first');
  set('second');
  await expect.poll(() => known.get(url)?.keys).toContain('second');
  answers.delete('/keys');
  await expect.poll(() => known.get(url)?.problem).toContain('answered 500');
  expect(known.get(url)?.keys).toContain('second');
  await keeper.close();
  expect(readFileSync(join(directory, 'keys.json'), 'utf8')).toContain('second');

  known.clear();
  const restarted = start();
  await restarted.load();
  restarted.apply([policy('a', { jwksUri: url })]);
  expect(known.get(url)?.keys).toContain('second');
});

test('addresses that are not public are refused unless allowed, and the reason is told', async () => {
  const keeper = start({ allowed: [] });
  keeper.apply([policy('a', { jwksUri: `${base}/keys` })]);
  await keeper.settled(5_000);
  expect(known.get(`${base}/keys`)).toEqual({ problem: expect.stringContaining('no public address') });
  expect(asked).toEqual([]);
});

test.each([
  ['no JSON', 'x'],
  ['no list', '{"keys":{}}'],
  ['no usable key', '{"keys":[{"kty":"RSA","n":"abc","e":"def"}]}'],
  ['too many keys', JSON.stringify({ keys: Array.from({ length: 101 }, () => privateJwk) })],
])('%s is no key set', async (_, body) => {
  answers.set('/keys', body);
  start().apply([policy('a', { jwksUri: `${base}/keys` })]);
  await expect.poll(() => known.get(`${base}/keys`)?.problem).toBeDefined();
  expect(known.get(`${base}/keys`)?.keys).toBeUndefined();
});

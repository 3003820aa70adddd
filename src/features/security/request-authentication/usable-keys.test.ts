import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { usableKeys } from './usable-keys.ts';

function jwk(type: 'rsa' | 'ec' | 'ed25519', options: object = {}): Record<string, string> {
  const { privateKey } = generateKeyPairSync(type as 'ec', options as { namedCurve: string });
  return privateKey.export({ format: 'jwk' }) as Record<string, string>;
}

const keysIn = (keys: readonly unknown[]) =>
  (JSON.parse(usableKeys(JSON.stringify({ keys })) ?? '{"keys":[]}') as { keys: Record<string, string>[] })
    .keys;

test.each(['P-256', 'P-384', 'P-521'])('a key on %s is taken without its private part', (namedCurve) => {
  const key = jwk('ec', { namedCurve });
  const { d: _, ...rest } = key;
  expect(keysIn([key])).toEqual([rest]);
});

test('RSA, Ed25519 and shared secrets are taken', () => {
  const rsa = jwk('rsa', { modulusLength: 2048 });
  expect(keysIn([rsa])).toEqual([{ kty: 'RSA', n: rsa.n, e: rsa.e }]);
  expect(keysIn([jwk('ed25519')])[0]).not.toHaveProperty('d');
  expect(keysIn([{ kty: 'oct', k: 'c2VjcmV0' }])).toHaveLength(1);
});

test('what Envoy would refuse is left out, and a set of nothing else is none', () => {
  const good = jwk('ec', { namedCurve: 'P-256' });
  const bad = [
    { ...good, y: good.x },
    { ...good, crv: 'P-384' },
    { ...good, alg: 'ES384' },
    { ...good, x: 'not base64!' },
    { kty: 'RSA', n: 'abc', e: 'def' },
    { kty: 'RSA', n: jwk('rsa', { modulusLength: 2048 }).n, e: 'AQAB', alg: 'HS256' },
    { kty: 'OKP', crv: 'Ed25519', x: 'AA' },
    { kty: 'other' },
    null,
    'text',
    { ...good, kid: 7 },
  ];
  expect(keysIn([...bad, good])).toHaveLength(1);
  expect(usableKeys(JSON.stringify({ keys: bad }))).toBeUndefined();
  for (const text of ['', '{', '[]', 'null', '{"keys":{}}']) expect(usableKeys(text)).toBeUndefined();
});

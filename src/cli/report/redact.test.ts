import { expect, test } from 'vitest';
import { redactObject, redactText, redactValue } from './redact.ts';

const key = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFakeFakeFake\n-----END EC PRIVATE KEY-----';

test.each([
  [`before ${key} after`, 'MHcCAQEE'],
  [JSON.stringify({ pem: key }), 'MHcCAQEE'],
  ['authorization: Bearer abcdefgh12345678', 'abcdefgh12345678'],
  ['GET / HTTP/1.1 "Basic dXNlcjpwYXNzd29yZA=="', 'dXNlcjpwYXNz'],
  ['token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl seen', 'c2lnbmF0dXJl'],
  ['postgres://me:hunter2@db/orders', 'hunter2'],
  ['DB_PASSWORD=hunter2 and more', 'hunter2'],
  ['{"api_key": "hunter2"}', 'hunter2'],
  ["clientSecret: 'hunter2'", 'hunter2'],
])('%s', (text, secret) => {
  expect(redactText(text)).not.toContain(secret);
  expect(redactText(text)).toContain('[redacted]');
});

test('what is no secret stays: names of secrets, certificates, ordinary lines', () => {
  for (const text of [
    'secretName: my-certificate',
    'credentialName: shop-credential',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
    'connected to 10.0.0.1:8080 in 5 ms',
  ])
    expect(redactText(text)).toBe(text);
});

test('objects: data of Secrets, environment variables that are named as secret, and what kubectl remembers', () => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 's',
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"word":"c2VzYW1l"}}',
        keep: 'this',
      },
    },
    data: { word: 'c2VzYW1l', 'tls.crt': 'Y2VydA==', 'tls.key': 'a2V5' },
  };
  const shown = redactObject(secret);
  expect(shown).toMatchObject({
    metadata: { annotations: { keep: 'this' } },
    data: { 'tls.crt': 'Y2VydA==' },
  });
  expect(JSON.stringify(shown)).not.toMatch(/c2VzYW1l|a2V5/);
  const pod = {
    containers: [
      {
        env: [
          { name: 'DB_PASSWORD', value: 'hunter2' },
          { name: 'PORT', value: '80' },
        ],
      },
    ],
    header: { name: 'authorization', value: 'Bearer abcdefgh12345678' },
    accessToken: 'hunter2',
  };
  expect(redactValue(pod)).toEqual({
    containers: [
      {
        env: [
          { name: 'DB_PASSWORD', value: '[redacted]' },
          { name: 'PORT', value: '80' },
        ],
      },
    ],
    header: { name: 'authorization', value: '[redacted]' },
    accessToken: '[redacted]',
  });
});

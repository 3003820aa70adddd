import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import { certificateFacts, parsePem, privateKeyFacts } from './certificate-facts.ts';

function certificateOf(key: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-facts-'));
  try {
    writeFileSync(join(directory, 'key'), key);
    execFileSync('openssl', [
      ...['req', '-new', '-x509', '-key', join(directory, 'key'), '-subj', '/CN=a', '-days', '30'],
      ...['-out', join(directory, 'crt')],
    ]);
    return readFileSync(join(directory, 'crt'), 'utf8');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const p256 = ec('P-256');

test.each([
  ['RSA', rsa.export(pkcs8), 'rsa', 2048],
  ['RSA, PKCS#1', rsa.export({ type: 'pkcs1', format: 'pem' }), 'rsa', 2048],
  ['P-256', p256.export(pkcs8), 'ec', 256],
  ['P-256, SEC 1', p256.export({ type: 'sec1', format: 'pem' }), 'ec', 256],
  ['P-384', ec('P-384').export(pkcs8), 'ec', 384],
  ['P-521', ec('P-521').export(pkcs8), 'ec', 521],
])('the halves of a pair have one identity: %s', (_, key, type, bits) => {
  const pem = certificateOf(String(key));
  const [block] = parsePem(pem);
  const [keyBlock] = parsePem(String(key));
  const facts = block && certificateFacts(block.der);
  expect(facts?.key).toMatchObject({ type, bits });
  expect(facts?.key.identity).toBeDefined();
  expect(keyBlock && privateKeyFacts(keyBlock)).toEqual(facts?.key);
  const known = new X509Certificate(pem);
  expect([facts?.notBefore, facts?.notAfter]).toEqual([
    known.validFromDate.getTime(),
    known.validToDate.getTime(),
  ]);
});

test('two pairs have two', () => {
  const [certificate] = parsePem(certificateOf(String(p256.export(pkcs8))));
  const [other] = parsePem(String(ec('P-256').export(pkcs8)));
  expect(other && privateKeyFacts(other)?.identity).not.toBe(
    certificate && certificateFacts(certificate.der)?.key.identity,
  );
});

test('an encrypted key, a request and noise are unreadable', () => {
  const encrypted = p256.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'x' });
  const [block] = parsePem(String(encrypted));
  expect(block && privateKeyFacts(block)).toBeUndefined();
  expect(parsePem('-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----')).toEqual([]);
});

test('whatever comes, nothing is thrown', () => {
  const [good] = parsePem(certificateOf(String(p256.export(pkcs8))));
  const der = good?.der ?? new Uint8Array();
  fc.assert(
    fc.property(fc.nat(der.length), fc.nat(der.length), fc.nat(255), (end, at, byte) => {
      const bytes = der.slice(0, end);
      bytes[at] = byte;
      certificateFacts(bytes);
      privateKeyFacts({ label: 'PRIVATE KEY', der: bytes });
    }),
    { numRuns: 500 },
  );
});

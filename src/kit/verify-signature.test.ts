import { exportJWK, generateKeyPair, generateSecret, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { verifySignature } from './verify-signature.ts';

const parts = (token: string) => {
  const end = token.lastIndexOf('.');
  return { text: token.slice(0, end), signature: Buffer.from(token.slice(end + 1), 'base64url') };
};

test.each(['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA', 'HS256'])('%s', async (algorithm) => {
  const made = algorithm.startsWith('HS')
    ? await generateSecret(algorithm, { extractable: true })
    : await generateKeyPair(algorithm, { extractable: true });
  const [secret, shared] = 'privateKey' in made ? [made.privateKey, made.publicKey] : [made, made];
  const token = await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: algorithm }).sign(secret);
  const key = { ...(await exportJWK(shared)) };
  const signed = { algorithm, key, ...parts(token) };
  expect(verifySignature(signed)).toBe(true);
  expect(verifySignature({ ...signed, text: `${signed.text}x` })).toBe(false);
  expect(verifySignature({ ...signed, algorithm: algorithm === 'RS256' ? 'HS256' : 'RS256' })).not.toBe(true);
});

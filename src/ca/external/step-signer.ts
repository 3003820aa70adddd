import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint, importJWK, type JWK, SignJWT } from 'jose';
import { messageOf } from '../../kit/coded-error.ts';
import { requestJson } from '../../kit/json-request.ts';
import { pemToDer } from '../pem.ts';
import type { StepAuthoritySettings } from '../settings/identity-settings.ts';
import { type ExternalSigner, type SigningRequest, signerFailed, signerRefused } from './signer.ts';

/** How long a one-time token is good, in seconds. */
const tokenSeconds = 60;

/**
 * A step-ca: each request carries a one-time token, signed with the key of a JWK provisioner, that names the identity.
 * @see https://smallstep.com/docs/step-ca/provisioners/#jwk
 */
export function stepSigner(settings: StepAuthoritySettings): ExternalSigner {
  return {
    name: `step-ca at ${settings.url}`,
    async sign(request) {
      const url = `${settings.url}/1.0/sign`;
      const body = {
        csr: request.csr,
        ott: await oneTimeToken(settings, url, request),
        notAfter: `${Math.max(1, Math.floor(request.ttlMs / 1000))}s`,
      };
      const ca = await readFile(settings.caFile ?? settings.rootFile, 'utf8').catch((error: unknown) => {
        throw signerFailed(messageOf(error));
      });
      const { status, json } = await requestJson({
        method: 'POST',
        url,
        body,
        access: { ca },
        timeoutMs: 8_000,
        signal: request.signal,
      }).catch((error: unknown) => {
        throw signerFailed(messageOf(error));
      });
      const answer = (json ?? {}) as {
        message?: string;
        certChain?: readonly string[];
        crt?: string;
        ca?: string;
      };
      if (status !== 200 && status !== 201) {
        const text = `${settings.url} answers ${status}: ${answer.message ?? 'no reason is given'}`;
        throw status === 429 || status >= 500 ? signerFailed(text) : signerRefused(text);
      }
      return (answer.certChain ?? [answer.crt, answer.ca]).filter(Boolean).join('\n');
    },
  };
}

async function oneTimeToken(
  { keyFile, provisioner }: StepAuthoritySettings,
  audience: string,
  { csr, identity }: SigningRequest,
): Promise<string> {
  const { jwk, algorithm } = await readKey(keyFile);
  const now = Math.floor(Date.now() / 1000);
  const request = pemToDer(csr, 'CERTIFICATE REQUEST') ?? Buffer.alloc(0);
  return new SignJWT({
    sans: [identity],
    // Good for this request alone.
    cnf: { 'x5rt#S256': createHash('sha256').update(request).digest('base64url') },
  })
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid ?? (await calculateJwkThumbprint(jwk)), typ: 'JWT' })
    .setIssuer(provisioner)
    .setSubject(identity)
    .setAudience(audience)
    .setIssuedAt(now)
    .setNotBefore(now - 5)
    .setExpirationTime(now + tokenSeconds)
    .setJti(randomUUID())
    .sign(await importJWK(jwk, algorithm));
}

const curves: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' };

async function readKey(file: string): Promise<{ jwk: JWK; algorithm: string }> {
  let jwk: JWK;
  try {
    jwk = JSON.parse(await readFile(file, 'utf8')) as JWK;
  } catch {
    // The reader's words could quote the key.
    throw signerRefused(
      `${file} holds no JSON Web Key; a key of step is made readable with: step crypto jwe decrypt`,
    );
  }
  const algorithm =
    jwk.alg ?? (jwk.kty === 'EC' ? curves[jwk.crv ?? ''] : jwk.kty === 'OKP' ? 'EdDSA' : 'RS256');
  if (typeof jwk.d !== 'string' || algorithm === undefined)
    throw signerRefused(`${file} holds no private key: a JSON Web Key with d is needed`);
  return { jwk, algorithm };
}

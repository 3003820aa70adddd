// The token matrix: what proves an identity, and everything that must not.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { opensslCertificate } from '../../../test/support/authority.ts';
import type { Authentication } from '../authenticate.ts';
import { authenticatePeer } from '../authenticate.ts';
import { bearerToken } from '../peer.ts';
import type { TokenIssuer } from '../settings/identity-settings.ts';
import { issuerAuthenticator } from './token-authenticator.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

let directory: string;
let server: Server;
let issuer: string;
let caFile: string;
/** What the issuer publishes, and how it behaves. */
const published = { keys: [] as unknown[], down: false, asked: 0 };

const jwk = async (key: KeyObject, kid: string) => ({ ...(await exportJWK(key)), kid });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-tokens-'));
  const authority = opensslCertificate({ directory, name: 'issuer-ca' });
  const own = opensslCertificate({
    directory,
    name: 'issuer',
    issuer: authority,
    ca: false,
    names: ['localhost'],
  });
  caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, authority.certificate);
  server = createServer({ key: own.key, cert: own.certificate }, (request, response) => {
    published.asked++;
    if (published.down) return void request.socket.destroy();
    const discovery = { issuer, jwks_uri: `${issuer}/keys` };
    response.end(
      JSON.stringify(request.url?.startsWith('/.well-known') ? discovery : { keys: published.keys }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
});
beforeEach(async () => {
  published.keys = [await jwk(rsa.publicKey, 'rsa'), await jwk(ec.publicKey, 'ec')];
  published.down = false;
  published.asked = 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
});

const settings = (): TokenIssuer => ({
  issuer,
  audiences: ['ostria'],
  caFile,
  identities: [
    { claims: { repository: 'acme/*' }, namespace: { text: 'ci' }, serviceAccount: { claim: ['sub'] } },
    {
      claims: {},
      namespace: { claim: ['account', 'project'] },
      serviceAccount: { text: 'robot' },
      namespaces: ['blue', 'green'],
    },
  ],
});

const authenticator = (more: Partial<TokenIssuer> = {}, options: { now?: () => number } = {}) =>
  issuerAuthenticator(
    { ...settings(), ...more },
    {
      trustDomain: 'cluster.local',
      unknownKeyMs: 0,
      ...(options.now ? { clock: { now: options.now, sleep: () => Promise.resolve() } } : {}),
    },
  );

interface Shape {
  key?: KeyObject;
  alg?: string;
  kid?: string;
  iss?: string;
  aud?: string;
  exp?: string | number;
  claims?: Record<string, unknown>;
}

function sign({
  key = ec.privateKey,
  alg = 'ES256',
  kid = 'ec',
  iss = issuer,
  aud = 'ostria',
  exp = '5m',
  claims = {},
}: Shape = {}): Promise<string> {
  return new SignJWT({ repository: 'acme/shop', ...claims })
    .setProtectedHeader({ alg, kid })
    .setIssuer(iss)
    .setAudience(aud)
    .setSubject('build')
    .setIssuedAt()
    .setExpirationTime(exp)
    .sign(key);
}

const ask = (token: string, one = authenticator()): Promise<Authentication> =>
  authenticatePeer([one], {
    address: '',
    certificate: undefined,
    bearerToken: bearerToken(`Bearer ${token}`),
  });

async function identityOf(token: string, one = authenticator()): Promise<string> {
  const result = await ask(token, one);
  return result.ok
    ? `${result.caller.identity.namespace}/${result.caller.identity.serviceAccount}`
    : result.reason;
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const payload = () => ({
  iss: issuer,
  aud: 'ostria',
  sub: 'build',
  repository: 'acme/shop',
  exp: Math.floor(Date.now() / 1000) + 300,
});

test('good tokens, RSA and ECDSA, by discovery', async () => {
  expect(await identityOf(await sign())).toBe('ci/build');
  expect(await identityOf(await sign({ key: rsa.privateKey, alg: 'RS256', kid: 'rsa' }))).toBe('ci/build');
  expect(await identityOf(await sign({ key: rsa.privateKey, alg: 'PS256', kid: 'rsa' }))).toBe('ci/build');
});

test('claims decide the identity, within the namespaces that the issuer may speak for', async () => {
  const of = async (claims: Record<string, unknown>) =>
    identityOf(await sign({ claims: { repository: 'other', ...claims } }));
  expect(await of({ account: { project: 'blue' } })).toBe('blue/robot');
  expect(await of({ account: { project: 'istio-system' } })).toMatch(
    /may not speak for the namespace istio-system/,
  );
  expect(await of({ account: { project: '../x' } })).toMatch(/no valid identity/);
  expect(await of({ account: { project: ['blue'] } })).toMatch(/lacks the claim/);
  expect(await of({})).toMatch(/lacks the claim/);
  expect(await of({ repository: 'acmeX/shop', account: {} })).toMatch(/lacks the claim/);
});

test('Kubernetes subjects', async () => {
  const one = authenticator({ identities: 'kubernetes' });
  const token = (sub: string) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'ec' })
      .setIssuer(issuer)
      .setAudience('ostria')
      .setSubject(sub)
      .setExpirationTime('5m')
      .sign(ec.privateKey);
  expect(await identityOf(await token('system:serviceaccount:shop:cart'), one)).toBe('shop/cart');
  for (const sub of [
    'system:node:a',
    'system:serviceaccount:shop',
    'system:serviceaccount:shop:cart:x',
    'system:serviceaccount:a/b:c',
  ])
    expect(await identityOf(await token(sub), one)).toMatch(/no service account/);
});

test('refused: what is not signed by the issuer’s own key pair', async () => {
  const none = `${encode({ alg: 'none' })}.${encode(payload())}.`;
  expect(await identityOf(none)).toMatch(/Unsupported|not allowed|alg/i);
  expect(await identityOf(await sign({ key: stranger.privateKey }))).toMatch(/signature verification failed/);
  expect(await identityOf(await sign({ key: stranger.privateKey, kid: 'unknown' }))).toMatch(
    /no applicable key/,
  );
  // Key confusion: the public key, which everybody has, used as the secret of an HMAC.
  for (const format of ['pem', 'der'] as const) {
    const secret = createPublicKey(rsa.publicKey.export({ type: 'spki', format: 'pem' })).export({
      type: 'spki',
      format: format as 'pem',
    });
    const head = `${encode({ alg: 'HS256', kid: 'rsa' })}.${encode(payload())}`;
    const mac = createHmac('sha256', secret).update(head).digest('base64url');
    expect(await identityOf(`${head}.${mac}`)).toMatch(/"alg"/);
  }
  // The key in the token itself.
  const own = await exportJWK(stranger.publicKey);
  const embedded = await new SignJWT(payload())
    .setProtectedHeader({ alg: 'ES256', jwk: own })
    .sign(stranger.privateKey);
  expect(await identityOf(embedded)).toMatch(/signature verification failed|multiple matching/);
});

test('refused: shared secrets that the issuer publishes', async () => {
  const secret = Buffer.alloc(32, 7);
  published.keys = [{ kty: 'oct', k: secret.toString('base64url'), kid: 'oct', alg: 'HS256' }];
  const token = await new SignJWT(payload()).setProtectedHeader({ alg: 'HS256', kid: 'oct' }).sign(secret);
  expect(await identityOf(token)).toMatch(/no public key/);
});

test('refused: wrong issuer, audience and times', async () => {
  expect(await identityOf(await sign({ iss: 'https://elsewhere' }))).toMatch(/no credential/);
  expect(await identityOf(await sign({ aud: 'another' }))).toMatch(/"aud"/);
  expect(await identityOf(await sign({ exp: Math.floor(Date.now() / 1000) - 60 }))).toMatch(/"exp"/);
  expect(await identityOf(await sign({ claims: { nbf: Math.floor(Date.now() / 1000) + 600 } }))).toMatch(
    /"nbf"/,
  );
  const { exp: _none, ...forever } = payload();
  const endless = await new SignJWT(forever)
    .setProtectedHeader({ alg: 'ES256', kid: 'ec' })
    .sign(ec.privateKey);
  expect(await identityOf(endless)).toMatch(/"exp"/);
});

test('refused: oversized and broken tokens, without asking the issuer', async () => {
  const large = await sign({ claims: { filler: 'x'.repeat(9_000) } });
  expect(await identityOf(large)).toMatch(/no credential/);
  for (const text of ['a.b.c', '..', 'e30.e30.', 'x'.repeat(100), 'a.b.c.d'])
    expect(await identityOf(text)).toMatch(/no credential/);
  expect(published.asked).toBe(0);
});

test('an issuer that is down: no first key, no entrance; known keys serve on for a day', async () => {
  let now = Date.now();
  const one = authenticator({}, { now: () => now });
  published.down = true;
  expect(await identityOf(await sign(), one)).toMatch(/keys of .* are not at hand/);
  const asked = published.asked;
  for (let i = 0; i < 20; i++) await ask(await sign(), one);
  expect(published.asked).toBe(asked);

  published.down = false;
  now += 61_000;
  expect(await identityOf(await sign({ exp: '2d' }), one)).toBe('ci/build');
  published.down = true;
  now += 20 * 3_600_000;
  expect(await identityOf(await sign({ exp: '3d' }), one)).toBe('ci/build');
  now += 5 * 3_600_000;
  expect(await identityOf(await sign({ exp: '3d' }), one)).toMatch(/not at hand/);
});

test('a new key of the issuer is fetched when a token names it', async () => {
  const one = authenticator();
  expect(await identityOf(await sign(), one)).toBe('ci/build');
  published.keys = [await jwk(stranger.publicKey, 'next')];
  expect(await identityOf(await sign({ key: stranger.privateKey, kid: 'next' }), one)).toBe('ci/build');
  expect(await identityOf(await sign(), one)).toMatch(/no applicable key/);
});

import { fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { IstioCertificateRequestSchema } from '../../gen/proto/istio/security/v1alpha1/ca_pb.js';
import { opensslCertificate } from '../../test/support/authority.ts';
import { callUnary } from '../kit/grpc-http2.ts';
import {
  certificateAuthenticator,
  joinTokenAuthenticator,
  serviceAccountAuthenticator,
} from './authenticate.ts';
import { type CertificateAuthority, createAuthority, createSelfSigned } from './authority.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { startCertificateServer } from './certificate-server.ts';
import {
  type CertificateEvent,
  type CertificateServiceOptions,
  CREATE_CERTIFICATE_PATH,
  createCertificateService,
} from './certificate-service.ts';
import { createKey, createSigningRequest } from './certificate-signing-request.ts';
import { type CertificateClientOptions, requestCertificate } from './client.ts';
import { type JoinTokens, openJoinTokens } from './join-token.ts';
import { pemBlocks } from './pem.ts';
import { createServiceAccountTokens } from './service-account-token.ts';

const identity = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'reviews' };
const reviews = 'spiffe://cluster.local/ns/default/sa/reviews';

let directory: string;
let authority: CertificateAuthority;
let tokens: JoinTokens;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-join-'));
  authority = await createAuthority(await createSelfSigned());
  tokens = openJoinTokens({ directory: join(directory, 'tokens') });
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function publicKeyOf(key: string): Promise<Buffer> {
  const parsed = await parseCertificateRequest(createSigningRequest(key, reviews));
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.publicKey;
}

async function start(options: Partial<CertificateServiceOptions> = {}) {
  const events: CertificateEvent[] = [];
  const service = createCertificateService({
    authority,
    authenticators: [
      joinTokenAuthenticator(tokens),
      certificateAuthenticator({ trustDomains: ['cluster.local'] }),
    ],
    audit: (event) => events.push(event),
    ...options,
  });
  const key = await createKey();
  const signer = options.authority ?? authority;
  const certificate = await signer.issue({
    publicKey: await publicKeyOf(key),
    dnsNames: ['ostriad.test'],
  });
  const server = await startCertificateServer({
    service,
    certificate: certificate.certificate + certificate.intermediates,
    key,
    root: signer.root,
  });
  closers.push(server.close);
  const request = (
    credential: CertificateClientOptions['credential'],
    more: Partial<CertificateClientOptions> = {},
  ) =>
    requestCertificate({
      address: `127.0.0.1:${server.port}`,
      root: signer.root,
      serverName: 'ostriad.test',
      identity: reviews,
      credential,
      ...more,
    });
  return { ...server, request, events };
}

describe('join token', () => {
  test('gets one certificate, for its identity, once', async () => {
    const { request, events } = await start();
    const { token } = tokens.mint(identity);
    const held = await request({ token });
    const leaf = new X509Certificate(held.certificateChain);
    expect(leaf.subjectAltName).toBe(`URI:${reviews}`);
    expect(leaf.verify(new X509Certificate(held.root).publicKey)).toBe(true);
    await expect(request({ token })).rejects.toMatchObject({ status: 16 });
    expect(events.map((event) => [event.outcome, event.reason])).toEqual([
      ['issued', undefined],
      ['refused', 'the join token is unknown, used or expired'],
    ]);
    expect(JSON.stringify(events)).not.toContain(token.slice(-20));
  });

  test('of many at once exactly one wins', async () => {
    const { request } = await start();
    const { token } = tokens.mint(identity);
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => request({ token })));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ status: 16 });
  });

  test('is good again where no certificate came of it', async () => {
    let down = true;
    const flaky: CertificateAuthority = {
      ...authority,
      issue: (template) =>
        down && template.uris ? Promise.reject(new Error('nobody signs')) : authority.issue(template),
    };
    const { request } = await start({ authority: flaky });
    const { token } = tokens.mint(identity);
    await expect(request({ token })).rejects.toMatchObject({ status: 14 });
    down = false;
    await request({ token });
    await expect(request({ token })).rejects.toMatchObject({ status: 16 });
  });

  test('of many processes exactly one wins', async () => {
    const { token } = tokens.mint(identity);
    const script = join(directory, 'redeem.mjs');
    writeFileSync(
      script,
      `import { openJoinTokens } from ${JSON.stringify(join(import.meta.dirname, 'join-token.ts'))};
       const tokens = openJoinTokens({ directory: process.argv[2] });
       process.once('message', (token) => { process.send(tokens.redeem(token) !== undefined); process.disconnect(); });
       process.send('ready');`,
    );
    const children = Array.from({ length: 4 }, () => fork(script, [join(directory, 'tokens')]));
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('message', resolve))));
    const wins = await Promise.all(
      children.map((child) => {
        const answer = new Promise<unknown>((resolve) => child.once('message', resolve));
        child.send(token);
        return answer;
      }),
    );
    expect(wins.filter((won) => won === true)).toHaveLength(1);
  });

  test('expires, is swept, survives a restart, is stored hashed and private', async () => {
    let now = Date.now();
    const clock = { now: () => now, sleep: async () => {} };
    const path = join(directory, 'clocked');
    const store = openJoinTokens({ directory: path, ttlMs: 60_000, clock });
    const { token } = store.mint(identity);
    const reopened = openJoinTokens({ directory: path, ttlMs: 60_000, clock });
    expect(reopened.check(token)).toEqual(identity);
    const [file] = readdirSync(path) as [string];
    expect(readFileSync(join(path, file), 'utf8')).not.toContain(token.split('.')[2]);
    expect(statSync(join(path, file)).mode & 0o777).toBe(0o600);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    now += 60_001;
    expect(reopened.check(token)).toBeUndefined();
    expect(reopened.redeem(token)).toBeUndefined();
    expect(reopened.sweep()).toBe(1);
    expect(readdirSync(path)).toEqual([]);
  });

  test('a guess, a changed secret and a path are refused; the count is bounded', () => {
    const { token } = tokens.mint(identity);
    expect(tokens.check(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`)).toBeUndefined();
    expect(tokens.check(`ostria-join.${'0'.repeat(32)}.${'A'.repeat(43)}`)).toBeUndefined();
    expect(tokens.check('ostria-join.../../etc/passwd.x')).toBeUndefined();
    expect(tokens.check(token)).toEqual(identity);
    const few = openJoinTokens({ directory: join(directory, 'few'), maxTokens: 2 });
    few.mint(identity);
    few.mint(identity);
    expect(() => few.mint(identity)).toThrow(/2 join tokens wait/);
    expect(() => tokens.mint({ ...identity, namespace: '../x' })).toThrow(/not a workload identity/);
  });

  test('is not spent by a request that is refused for another reason', async () => {
    const { port } = await start();
    const { token } = tokens.mint(identity);
    await expect(call(port, { csr: 'nonsense' }, token)).rejects.toMatchObject({ status: 3 });
    expect(tokens.check(token)).toEqual(identity);
  });
});

describe('identity comes from the credential', () => {
  test('names in the request are ignored, and the client refuses a certificate that is not its own', async () => {
    const { port, request } = await start();
    const other = 'spiffe://cluster.local/ns/default/sa/admin';
    const { token } = tokens.mint(identity);
    const chain = await call(port, { csr: createSigningRequest(await createKey(), other) }, token);
    expect(chain.toString()).toContain('BEGIN CERTIFICATE');
    const pem = /-----BEGIN[\s\S]*?-----END CERTIFICATE-----/.exec(chain.toString())?.[0] as string;
    expect(new X509Certificate(pem).subjectAltName).toBe(`URI:${reviews}`);
    await expect(request({ token: tokens.mint(identity).token }, { identity: other })).rejects.toThrow(
      /belongs to another identity/,
    );
  });

  test('asking in metadata for another identity is refused', async () => {
    const { port } = await start();
    const { token } = tokens.mint(identity);
    const csr = createSigningRequest(await createKey(), reviews);
    const metadata = { ImpersonatedIdentity: 'spiffe://cluster.local/ns/default/sa/admin' };
    await expect(call(port, { csr, metadata }, token)).rejects.toMatchObject({ status: 7 });
  });

  test('without a credential, or with a stranger’s certificate, nothing is given', async () => {
    const { port, request } = await start();
    const csr = createSigningRequest(await createKey(), reviews);
    await expect(call(port, { csr })).rejects.toMatchObject({ status: 16 });
    const foreign = await createAuthority(await createSelfSigned());
    const key = await createKey();
    const fake = await foreign.issue({ publicKey: await publicKeyOf(key), uris: [reviews] });
    await expect(request({ key, certificateChain: fake.certificate })).rejects.toMatchObject({ status: 16 });
  });

  test('authorize has the last word', async () => {
    const { request, events } = await start({ authorize: () => 'the service account is gone' });
    await expect(request({ token: tokens.mint(identity).token })).rejects.toMatchObject({
      status: 7,
      message: `${reviews} gets no certificate: the service account is gone`,
    });
    expect(events[0]?.identity).toBe(reviews);
  });
});

describe('renewal', () => {
  test('by the present certificate, with a new key', async () => {
    const { request, events } = await start();
    const first = await request({ token: tokens.mint(identity).token });
    const second = await request(first);
    expect(second.key).not.toBe(first.key);
    expect(new X509Certificate(second.certificateChain).subjectAltName).toBe(`URI:${reviews}`);
    expect(events.at(-1)).toMatchObject({ outcome: 'issued', credential: 'certificate' });
  });

  test('not by a certificate that has ended, nor one of another trust domain', async () => {
    const { request } = await start();
    const key = await createKey();
    const publicKey = await publicKeyOf(key);
    const foreign = await authority.issue({ publicKey, uris: ['spiffe://elsewhere/ns/default/sa/reviews'] });
    await expect(request({ key, certificateChain: foreign.certificate })).rejects.toMatchObject({
      status: 16,
    });
    const two = await authority.issue({
      publicKey,
      uris: [reviews, 'spiffe://cluster.local/ns/default/sa/b'],
    });
    await expect(request({ key, certificateChain: two.certificate })).rejects.toMatchObject({ status: 16 });
    const short = await authority.issue({ publicKey, uris: [reviews], ttlMs: 1_000 });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await expect(request({ key, certificateChain: short.certificate })).rejects.toMatchObject({ status: 16 });
  });

  test('under an authority that is itself issued: chains are whole on both sides', async () => {
    const root = opensslCertificate({ directory, name: 'root' });
    const middle = opensslCertificate({ directory, name: 'middle', issuer: root });
    const intermediate = await createAuthority({
      certificate: middle.certificate,
      key: middle.key,
      root: root.certificate,
      chain: middle.certificate,
    });
    const { request } = await start({ authority: intermediate });
    const first = await request({ token: tokens.mint(identity).token });
    expect(pemBlocks(first.certificateChain)).toHaveLength(2);
    expect(pemBlocks(first.root)).toEqual(pemBlocks(root.certificate));
    await request(first);
  });

  test('the client talks to no server but the mesh’s', async () => {
    const { request } = await start();
    const { token } = tokens.mint(identity);
    const stranger = await createSelfSigned();
    await expect(request({ token }, { root: stranger.root })).rejects.toMatchObject({ status: 14 });
    await expect(request({ token }, { serverName: 'other.test' })).rejects.toMatchObject({ status: 14 });
    expect(tokens.check(token)).toEqual(identity);
  });
});

test('service account tokens: audience, issuer, time and signature count', async () => {
  let now = Date.now();
  const clock = { now: () => now, sleep: async () => {} };
  const key = await createKey();
  const accounts = createServiceAccountTokens({ key, issuer: 'https://ostria.test', clock });
  const { request } = await start({
    authenticators: [serviceAccountAuthenticator({ trustDomain: 'cluster.local', verify: accounts.verify })],
  });
  const account = { namespace: 'default', serviceAccount: 'reviews' };
  const { token } = await accounts.sign(account);
  expect(new X509Certificate((await request({ token })).certificateChain).subjectAltName).toBe(
    `URI:${reviews}`,
  );
  const refused = async (bad: string) =>
    expect(request({ token: bad })).rejects.toMatchObject({ status: 16 });
  await refused((await accounts.sign(account, { audiences: ['api'] })).token);
  await refused(
    (
      await createServiceAccountTokens({ key: await createKey(), issuer: 'https://ostria.test' }).sign(
        account,
      )
    ).token,
  );
  await refused((await createServiceAccountTokens({ key, issuer: 'https://other' }).sign(account)).token);
  await refused('a.b.c');
  now += 2 * 3_600_000;
  await refused(token);
});

describe('limits', () => {
  test('per identity', async () => {
    const { request } = await start({ limits: { perIdentity: { burst: 2, perSecond: 0 } } });
    const held = await request({ token: tokens.mint(identity).token });
    await request(held);
    await expect(request(held)).rejects.toMatchObject({ status: 8 });
    const ratings = { ...identity, serviceAccount: 'ratings' };
    await request(
      { token: tokens.mint(ratings).token },
      { identity: 'spiffe://cluster.local/ns/default/sa/ratings' },
    );
  });

  test('refused credentials do not lock out good ones', async () => {
    const { request } = await start({ limits: { refused: { burst: 1, perSecond: 0 } } });
    await expect(request({ token: 'ostria-join.x' })).rejects.toMatchObject({ status: 16 });
    await expect(request({ token: 'ostria-join.x' })).rejects.toMatchObject({ status: 8 });
    await request({ token: tokens.mint(identity).token });
  });

  test('the size of a request', async () => {
    const { port } = await start();
    await expect(call(port, { csr: 'x'.repeat(40_000) }, tokens.mint(identity).token)).rejects.toMatchObject({
      status: 8,
    });
  });
});

test('the wanted lifetime reaches the certificate', async () => {
  const { request } = await start();
  const held = await request({ token: tokens.mint(identity).token }, { ttlSeconds: 90 });
  const left = held.notAfter.getTime() - Date.now();
  expect(left).toBeGreaterThan(80_000);
  expect(left).toBeLessThanOrEqual(90_000);
});

async function call(
  port: number,
  message: { csr: string; metadata?: Record<string, string> },
  token?: string,
): Promise<Buffer> {
  const session = connect(`https://127.0.0.1:${port}`, { ca: authority.root, servername: 'ostriad.test' });
  session.on('error', () => {});
  try {
    const request = toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, message));
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    return Buffer.from(await callUnary(session, CREATE_CERTIFICATE_PATH, request, { headers }));
  } finally {
    session.destroy();
  }
}

// What workloads trust and distrust beside the mesh's roots: on the wire, in Envoy's words, and when lists of revoked certificates count.
import { execFileSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OpensslAuthority, opensslCertificate } from '../../test/support/authority.ts';
import { revocationList } from '../../test/support/revocation-list.ts';
import { writeMaterial } from './authority-files.ts';
import { AuthorityRing } from './authority-ring.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { createKey, createSigningRequest, keyTypes } from './certificate-signing-request.ts';
import { bundleHash } from './pem.ts';
import { extrasHash, noExtras, type TrustExtras } from './trust-extras.ts';
import {
  decodeTrustRequest,
  decodeTrustResponse,
  encodeTrustRequest,
  encodeTrustResponse,
} from './trust-messages.ts';

const identity = 'spiffe://cluster.local/ns/default/sa/web';
let state: string;
let ring: AuthorityRing | undefined;
let warnings: string[];

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'ostria-extras-'));
  warnings = [];
});
afterEach(async () => {
  await ring?.close();
  ring = undefined;
  rmSync(state, { recursive: true });
});

test('messages', () => {
  const request = { bundle: 'a', instance: 'b.c', extras: 'd' };
  expect(decodeTrustRequest(encodeTrustRequest(request))).toEqual(request);
  const extras: TrustExtras = {
    crl: 'list',
    domains: [
      { trustDomain: 'one', roots: '', meshRoots: true },
      { trustDomain: 'two', roots: 'pem', meshRoots: false },
    ],
  };
  for (const response of [
    { bundle: '', renew: false, nextMs: 5 },
    { bundle: 'roots', renew: true, nextMs: 300_000, extras },
    { bundle: '', renew: false, nextMs: 1, extras: noExtras },
  ])
    expect(decodeTrustResponse(encodeTrustResponse(response))).toEqual(response);
  expect(() => decodeTrustRequest(encodeTrustRequest({ ...request, extras: 'x'.repeat(300) }))).toThrow(
    'too long',
  );
});

test('requests of every kind of key satisfy openssl', async () => {
  for (const type of keyTypes) {
    const csr = createSigningRequest(await createKey(type), identity);
    const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
      input: csr,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    expect(text).toContain(
      type.startsWith('rsa') ? `(${type.slice(4)} bit)` : type === 'ecdsa-p384' ? 'P-384' : 'P-256',
    );
    expect(await parseCertificateRequest(csr)).toMatchObject({ ok: true });
  }
});

const source = () => join(state, 'mine');
const material = (authority: OpensslAuthority, root: OpensslAuthority, crl?: string) => ({
  certificate: authority.certificate,
  key: authority.key,
  root: root.certificate,
  chain: authority.certificate,
  ...(crl === undefined ? {} : { crl }),
});

async function open(): Promise<AuthorityRing> {
  ring = await AuthorityRing.open({
    state,
    source: source(),
    syncMs: 20,
    rotationSyncMs: 10,
    checkMs: 10,
    warn: (message) => warnings.push(message),
  });
  return ring;
}

async function issue(from: AuthorityRing, replaces?: string): Promise<X509Certificate> {
  const key = await createKey();
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const issued = await from.issue({ publicKey, uris: [identity] });
  from.issued({ ...issued, identity }, replaces);
  return new X509Certificate(issued.certificate);
}

const told = (pattern: RegExp) =>
  expect.poll(() => warnings.some((one) => pattern.test(one)), { interval: 10 }).toBe(true);

test('a list is given out, replaced while running, and taken away; the control plane minds it too', async () => {
  const root = opensslCertificate({ directory: state, name: 'root', algorithm: 'RSA' });
  const signer = opensslCertificate({ directory: state, name: 'signer', issuer: root });
  await writeMaterial(source(), material(signer, root));
  const authority = await open();
  const [good, bad] = [await issue(authority), await issue(authority)];
  expect([authority.extras, authority.status().revocation]).toEqual([noExtras, undefined]);

  const list = await revocationList(signer, [bad.toString()]);
  writeFileSync(join(source(), 'ca-crl.pem'), list);
  await expect.poll(() => authority.extras.crl, { interval: 10 }).not.toBe('');
  expect([authority.isRevoked(good), authority.isRevoked(bad)]).toEqual([false, true]);
  expect(authority.status().revocation).toMatchObject({ revoked: 1 });
  const report = { certificate: good, identity, bundle: bundleHash(authority.root), instance: 'a' };
  expect(authority.sync({ ...report, extras: extrasHash(noExtras) }).extras?.crl).toContain('X509 CRL');
  expect(authority.sync({ ...report, extras: extrasHash(authority.extras) }).extras).toBeUndefined();
  // An agent that knows of none is not told.
  expect(authority.sync(report).extras).toBeUndefined();

  // Other trust domains wait while a list is in force: Envoy would mind one or the other.
  authority.setDomains([{ trustDomain: 'cluster.local', roots: '', meshRoots: true }]);
  expect([authority.extras.domains, warnings.at(-1)]).toEqual([
    [],
    expect.stringContaining('Envoy checks one or the other'),
  ]);

  writeFileSync(join(source(), 'ca-crl.pem'), await revocationList(signer, []));
  await expect.poll(() => authority.isRevoked(bad), { interval: 10 }).toBe(false);
  rmSync(join(source(), 'ca-crl.pem'));
  await expect.poll(() => authority.extras.crl, { interval: 10 }).toBe('');
  expect(authority.extras.domains).toHaveLength(1);
});

test('a list that is not of the authority, or that lacks one, refuses nobody by mistake', async () => {
  const root = opensslCertificate({ directory: state, name: 'root' });
  const [first, second] = [1, 2].map((n) =>
    opensslCertificate({ directory: state, name: `signer-${n}`, issuer: root }),
  ) as [OpensslAuthority, OpensslAuthority];
  const stranger = opensslCertificate({ directory: state, name: 'stranger' });
  await writeMaterial(source(), material(first, root));
  const authority = await open();
  const held = await issue(authority);
  writeFileSync(join(source(), 'ca-crl.pem'), await revocationList(stranger, []));
  await told(/no authority of the mesh signed it/);
  expect(authority.extras.crl).toBe('');
  writeFileSync(join(source(), 'ca-crl.pem'), await revocationList(root, []));
  await told(/the authority that signs has none/);
  expect(authority.extras.crl).toBe('');

  // An intermediate is replaced, and the first list comes with it: certificates of the old one would all be refused.
  await writeMaterial(source(), material(second, root, await revocationList(second, [])));
  await told(/1 certificates in use are of an authority without a list/);
  expect([authority.extras.crl, authority.status().revocation?.heldBack]).toEqual([
    '',
    expect.stringContaining('renewal'),
  ]);
  await issue(authority, held.serialNumber);
  await expect.poll(() => authority.extras.crl, { interval: 10 }).not.toBe('');

  // The next one: the list of the old intermediate stays beside the new.
  await issue(authority);
  await writeMaterial(source(), material(first, root, await revocationList(first, [])));
  await expect.poll(() => authority.extras.crl.match(/BEGIN/g)?.length, { interval: 10 }).toBe(3);
});

import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openssl, opensslCertificate } from '../../test/support/authority.ts';
import { createAuthority, createSelfSigned, DAY_MS } from './authority.ts';
import { openAuthority } from './authority-files.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { createKey, createSigningRequest } from './certificate-signing-request.ts';
import {
  issueWithNewKey,
  keepServerCertificate,
  type ServerCertificate,
  withRoot,
} from './server-certificate.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-ca-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const identity = 'spiffe://cluster.local/ns/default/sa/reviews';

async function workloadKey(): Promise<Buffer> {
  const parsed = await parseCertificateRequest(createSigningRequest(await createKey(), identity));
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.publicKey;
}

function writeAuthority(name: string, files: Record<string, string>): string {
  const path = join(directory, name);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text, { mode: 0o600 });
  return path;
}

/** openssl's verdict on a chain. */
function verify(root: string, leaf: string, intermediates = ''): string {
  const at = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const untrusted = intermediates ? ['-untrusted', at('v-int.pem', intermediates)] : [];
  return openssl([
    'verify',
    '-x509_strict',
    '-CAfile',
    at('v-root.pem', root),
    ...untrusted,
    at('v-leaf.pem', leaf),
  ]);
}

describe('self-signed authority', () => {
  test('is made once, with a key that only its owner reads, and is the same after a restart', async () => {
    const path = join(directory, 'made', 'ca');
    const [first, second] = await Promise.all([openAuthority(path), openAuthority(path)]);
    expect(second.root).toBe(first.root);
    expect((await openAuthority(path)).root).toBe(first.root);
    expect(statSync(join(path, 'ca-key.pem')).mode & 0o777).toBe(0o600);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    const root = new X509Certificate(first.root);
    expect(root.ca).toBe(true);
    expect((root.validToDate.getTime() - Date.now()) / DAY_MS).toBeCloseTo(3_652, 0);
    expect(openssl(['x509', '-noout', '-text'], first.root)).toMatch(/ASN1 OID: prime256v1/);
  });

  test.each(['ecdsa-p256', 'rsa-2048'] as const)('%s leaves satisfy openssl', async (keyType) => {
    const authority = await createAuthority(await createSelfSigned({ keyType }));
    const leaf = await authority.issue({ publicKey: await workloadKey(), uris: [identity] });
    expect(verify(leaf.root, leaf.certificate)).toMatch(/OK/);
    const text = openssl(['x509', '-noout', '-text'], leaf.certificate);
    expect(text).toMatch(
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews\n/,
    );
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/Subject: *\n/);
    expect(leaf.intermediates).toBe('');
  });

  test('lifetimes: 24 h by default, backdated, cut to the maximum and to the root', async () => {
    const publicKey = await workloadKey();
    const now = Date.now();
    const clock = { now: () => now, sleep: async () => {} };
    const material = await createSelfSigned({ ttlMs: 10 * DAY_MS, clock });
    const authority = await createAuthority(material, { maxTtlMs: 5 * DAY_MS, clock });
    const life = async (ttlMs?: number) => {
      const issued = await authority.issue({ publicKey, uris: [identity], ...(ttlMs ? { ttlMs } : {}) });
      return (issued.notAfter.getTime() - now) / DAY_MS;
    };
    expect(await life()).toBeCloseTo(1, 3);
    expect(await life(100 * DAY_MS)).toBeCloseTo(5, 3);
    const short = await authority.issue({ publicKey, uris: [identity], ttlMs: 3_000 });
    expect(now - short.notBefore.getTime()).toBeGreaterThanOrEqual(119_000);
    const late = await createAuthority(material, { clock: { ...clock, now: () => now + 9.5 * DAY_MS } });
    const last = await late.issue({ publicKey, uris: [identity] });
    expect(last.notAfter.getTime()).toBeLessThanOrEqual(now + 10 * DAY_MS);
  });

  test('serial numbers are positive, random and 16 bytes', async () => {
    const authority = await createAuthority(await createSelfSigned());
    const publicKey = await workloadKey();
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { certificate } = await authority.issue({ publicKey, uris: [identity] });
      serials.add(new X509Certificate(certificate).serialNumber);
    }
    expect(serials.size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  test('a server certificate with a subject, names and addresses', async () => {
    const authority = await createAuthority(await createSelfSigned());
    const issued = await authority.issue({
      publicKey: await workloadKey(),
      subject: 'CN=ostria',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
      usages: ['server'],
    });
    const text = openssl(['x509', '-noout', '-text'], issued.certificate);
    expect(text).toMatch(
      /Alternative Name: *\n\s+DNS:localhost, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1/,
    );
    expect(text).not.toMatch(/Client Authentication/);
  });
});

describe('given authority', () => {
  test('an intermediate of another make: leaves chain to its root', async () => {
    for (const algorithm of ['EC', 'RSA'] as const) {
      const root = opensslCertificate({ directory, name: `root-${algorithm}`, algorithm });
      const middle = opensslCertificate({ directory, name: `middle-${algorithm}`, algorithm, issuer: root });
      const signer = opensslCertificate({
        directory,
        name: `signer-${algorithm}`,
        algorithm,
        issuer: middle,
      });
      const path = writeAuthority(`given-${algorithm}`, {
        'ca-cert.pem': signer.certificate,
        'ca-key.pem': signer.key,
        'root-cert.pem': root.certificate,
        'cert-chain.pem': signer.certificate + middle.certificate + root.certificate,
      });
      const authority = await openAuthority(path, { create: false });
      const leaf = await authority.issue({ publicKey: await workloadKey(), uris: [identity] });
      expect(verify(root.certificate, leaf.certificate, leaf.intermediates)).toMatch(/OK/);
      // The root itself is not presented: verifiers have it.
      expect(leaf.intermediates.match(/BEGIN/g)).toHaveLength(2);
    }
  });

  test('says what is wrong: another key, not a CA, expired, broken chain, missing files, loose modes', async () => {
    const root = opensslCertificate({ directory, name: 'r' });
    const signer = opensslCertificate({ directory, name: 's', issuer: root });
    const leaf = opensslCertificate({ directory, name: 'leaf', issuer: root, ca: false });
    const past = { now: () => Date.UTC(2020, 0, 1), sleep: async () => {} };
    const old = await createSelfSigned({ ttlMs: 31 * DAY_MS, clock: past });
    const stranger = opensslCertificate({ directory, name: 'stranger' });
    const open = (
      name: string,
      certificate: string,
      key: string,
      chain = certificate,
      trusted = root.certificate,
    ) =>
      openAuthority(
        writeAuthority(name, {
          'ca-cert.pem': certificate,
          'ca-key.pem': key,
          'root-cert.pem': trusted,
          'cert-chain.pem': chain,
        }),
      );
    await expect(open('ok', signer.certificate, signer.key)).resolves.toBeDefined();
    await expect(open('key', signer.certificate, root.key)).rejects.toThrow(
      /ca-key\.pem is not the key of ca-cert\.pem/,
    );
    await expect(open('leaf', leaf.certificate, leaf.key)).rejects.toThrow(/ca-cert\.pem .*is not a CA/);
    await expect(open('old', old.certificate, old.key, '', old.root)).rejects.toThrow(
      /expired on 2020-02-01/,
    );
    await expect(
      open('broken', signer.certificate, signer.key, signer.certificate, stranger.certificate),
    ).rejects.toThrow(/the chain is broken: .*O=test, CN=s/);
    await expect(open('garbage', 'hello', signer.key)).rejects.toThrow(
      /ca-cert\.pem holds no PEM certificate/,
    );
    const noKey = open('nokey', signer.certificate, 'SECRET-TEXT');
    await expect(noKey).rejects.toThrow(/ca-key\.pem holds no PEM private key/);
    await expect(noKey).rejects.not.toThrow(/SECRET-TEXT/);
    await expect(openAuthority(writeAuthority('part', { 'ca-cert.pem': root.certificate }))).rejects.toThrow(
      /lacks ca-key\.pem, root-cert\.pem/,
    );
    await expect(openAuthority(join(directory, 'absent'), { create: false })).rejects.toMatchObject({
      code: 'AuthorityIncomplete',
    });
    const warnings: string[] = [];
    const loose = writeAuthority('loose', {
      'ca-cert.pem': root.certificate,
      'root-cert.pem': root.certificate,
    });
    writeFileSync(join(loose, 'ca-key.pem'), root.key, { mode: 0o644 });
    await openAuthority(loose, { warn: (message) => warnings.push(message) });
    expect(warnings).toEqual([expect.stringMatching(/can be read by others.*chmod 600/)]);
  });
});

describe('certificate requests', () => {
  test('ours satisfies openssl and our own parser', async () => {
    const pem = createSigningRequest(await createKey(), identity);
    expect(openssl(['req', '-noout', '-verify', '-text'], pem)).toMatch(
      /URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews/,
    );
    expect(await parseCertificateRequest(pem)).toMatchObject({ ok: true });
  });

  test('openssl’s is taken; what is weak, broken or large is refused with a reason', async () => {
    const csr = (args: string[]) =>
      openssl(['req', '-new', '-nodes', '-newkey', ...args, '-keyout', '/dev/null', '-subj', '/CN=x']);
    expect(await parseCertificateRequest(csr(['rsa:2048']))).toMatchObject({ ok: true });
    expect(await parseCertificateRequest(csr(['rsa:1024']))).toMatchObject({
      error: expect.stringMatching(/2048 to 4096 bits, not 1024/),
    });
    expect(await parseCertificateRequest(csr(['ed25519']))).toMatchObject({
      error: expect.stringMatching(/ed25519 are not accepted/),
    });
    const good = createSigningRequest(await createKey(), identity);
    const der = Buffer.from(good.split('\n').slice(1, -2).join(''), 'base64');
    der[der.length - 1] = (der.at(-1) as number) ^ 1;
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(await parseCertificateRequest(forged)).toMatchObject({
      error: expect.stringMatching(/signature/),
    });
    expect(await parseCertificateRequest(`${good}${'x'.repeat(20_000)}`)).toMatchObject({
      error: expect.stringMatching(/exceeds/),
    });
    expect(await parseCertificateRequest('')).toMatchObject({ ok: false });
    for (let cut = 1; cut < der.length; cut += 7) {
      const text = `-----BEGIN CERTIFICATE REQUEST-----\n${der.subarray(0, cut).toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
      expect(await parseCertificateRequest(text)).toMatchObject({ ok: false });
    }
  });
});

test('the private key is in no file but its own', () => {
  const key = readFileSync(join(directory, 'made', 'ca', 'ca-key.pem'), 'utf8').split('\n')[1] as string;
  for (const name of ['ca-cert.pem', 'root-cert.pem', 'cert-chain.pem'])
    expect(readFileSync(join(directory, 'made', 'ca', name), 'utf8')).not.toContain(key);
});

test('a server certificate is renewed at half life', async () => {
  const authority = await createAuthority(await createSelfSigned());
  // Checked by openssl with whole seconds, on a machine that may be busy.
  const names = { dnsNames: ['localhost'], ttlMs: 10_000 };
  const current = await issueWithNewKey(authority, names);
  const next = await new Promise<ServerCertificate>((use) => {
    const stop = keepServerCertificate({
      authority,
      names,
      current,
      use: (value) => {
        stop();
        use(value);
      },
    });
  });
  expect(next.key).not.toBe(current.key);
  expect(next.notAfter.getTime()).toBeGreaterThanOrEqual(current.notAfter.getTime());
  expect(verify(authority.root, next.certificateChain)).toMatch(/OK/);
});

test('a chain is completed by the root that it ends in, and by no other', async () => {
  const authority = await createAuthority(await createSelfSigned());
  const other = await createAuthority(await createSelfSigned());
  const { certificateChain } = await issueWithNewKey(authority, { dnsNames: ['localhost'] });
  expect(withRoot(certificateChain, other.root + authority.root)).toBe(certificateChain + authority.root);
  expect(withRoot(certificateChain, other.root)).toBe(certificateChain);
  expect(withRoot(certificateChain + authority.root, authority.root)).toBe(certificateChain + authority.root);
});

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory, writeFileAtomic } from '../../kit/atomic-file.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { CodedError } from '../../kit/coded-error.ts';
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueCertificate,
  type KeyPair,
  keysFromPem,
  loadAuthority,
  parseCertificate,
  privateKeyPem,
} from '../../kit/x509.ts';

const day = 86_400_000;
const authorityLifetimeMs = 3650 * day;
const serverLifetimeMs = 365 * day;
/** A certificate is made anew when less than this part of its life remains. */
const renewalPart = 1 / 3;

export interface ApiPkiOptions {
  /** Where keys and certificates are kept (made 0700; keys 0600). */
  directory: string;
  /** Names and addresses under which the API is reached. Default: localhost, 127.0.0.1 and ::1. */
  hosts?: readonly string[];
  clock?: Clock;
}

export interface IssuedCertificate {
  certificatePem: string;
  keyPem: string;
}

/** The API's own authority, apart from the mesh's: it signs the API server's certificate and those of its users. */
export interface ApiPki {
  readonly authorityPem: string;
  readonly server: IssuedCertificate;
  /** Signs service account tokens. */
  readonly tokenKeys: KeyPair;
  readonly tokenKeyId: string;
  /** A client certificate: CN is the user, each O a group. Lifetime default one year. */
  issueClient(request: {
    user: string;
    groups: readonly string[];
    lifetimeMs?: number;
  }): Promise<IssuedCertificate>;
}

/** Opens the API's keys and certificates, making those that are missing or near their end. */
export async function openApiPki(options: ApiPkiOptions): Promise<ApiPki> {
  const { directory, hosts = ['localhost', '127.0.0.1', '::1'], clock = systemClock } = options;
  makePrivateDirectory(directory);
  const authority = await openAuthority(directory, clock);
  const authorityPem = authority.certificate.toString('pem');
  const server = await openServer(directory, authority, hosts, clock);
  const tokenKeys = await openTokenKeys(directory);
  const tokenKeyId = createHash('sha256')
    .update(await privateKeyPem(tokenKeys.privateKey))
    .digest('base64url')
    .slice(0, 22);
  return {
    authorityPem,
    server,
    tokenKeys,
    tokenKeyId,
    issueClient: async ({ user, groups, lifetimeMs = serverLifetimeMs }) => {
      const keys = await generateKeys();
      const certificate = await issueCertificate(authority, {
        subject: { commonName: user, organizations: groups },
        publicKey: keys.publicKey,
        usages: ['client'],
        lifetimeMs,
        now: clock.now(),
      });
      return { certificatePem: certificate.toString('pem'), keyPem: await privateKeyPem(keys.privateKey) };
    },
  };
}

async function openAuthority(directory: string, clock: Clock): Promise<Authority> {
  const files = { certificate: join(directory, 'api-ca.crt'), key: join(directory, 'api-ca.key') };
  const found = readPair(files);
  if (found) return loadAuthority(found.certificatePem, found.keyPem);
  const authority = await createAuthority({ commonName: 'ostria-api-ca' }, authorityLifetimeMs, clock.now());
  await writePair(files, {
    certificatePem: authority.certificate.toString('pem'),
    keyPem: await privateKeyPem(authority.keys.privateKey),
  });
  return authority;
}

async function openServer(
  directory: string,
  authority: Authority,
  hosts: readonly string[],
  clock: Clock,
): Promise<IssuedCertificate> {
  const files = { certificate: join(directory, 'api-server.crt'), key: join(directory, 'api-server.key') };
  const marker = join(directory, 'api-server.hosts');
  const wanted = JSON.stringify([...hosts].sort());
  const found = readPair(files);
  const sameHosts = existsSync(marker) && readFileSync(marker, 'utf8') === wanted;
  if (found && sameHosts && isFresh(found.certificatePem, authority, clock.now())) return found;
  const keys = await generateKeys();
  const certificate = await issueCertificate(authority, {
    subject: { commonName: 'ostria-api' },
    publicKey: keys.publicKey,
    usages: ['server'],
    names: hosts,
    lifetimeMs: serverLifetimeMs,
    now: clock.now(),
  });
  const pair = { certificatePem: certificate.toString('pem'), keyPem: await privateKeyPem(keys.privateKey) };
  await writePair(files, pair);
  await writeFileAtomic(marker, wanted);
  return pair;
}

function isFresh(pem: string, authority: Authority, now: number): boolean {
  const { notBefore, notAfter, issuer } = parseCertificate(pem);
  if (issuer !== authority.certificate.subject) return false;
  return notAfter.getTime() - now > (notAfter.getTime() - notBefore.getTime()) * renewalPart;
}

async function openTokenKeys(directory: string): Promise<KeyPair> {
  const path = join(directory, 'service-accounts.key');
  if (existsSync(path)) return keysFromPem(readFileSync(path, 'utf8'));
  const keys = await generateKeys();
  await writeFileAtomic(path, await privateKeyPem(keys.privateKey));
  return keys;
}

interface PairFiles {
  certificate: string;
  key: string;
}

function readPair(files: PairFiles): IssuedCertificate | undefined {
  const present = [existsSync(files.certificate), existsSync(files.key)];
  // The key is written first: a lone key is what a crash in between leaves, and nobody has seen its certificate.
  if (!present[0]) return undefined;
  if (!present[1]) {
    throw new CodedError(
      'PkiIncomplete',
      `${files.certificate} is there, but its key ${files.key} is not: restore the key, or delete the certificate to have both made anew`,
    );
  }
  return { certificatePem: readFileSync(files.certificate, 'utf8'), keyPem: readFileSync(files.key, 'utf8') };
}

async function writePair(files: PairFiles, pair: IssuedCertificate): Promise<void> {
  await writeFileAtomic(files.key, pair.keyPem, 0o600);
  await writeFileAtomic(files.certificate, pair.certificatePem, 0o644);
}

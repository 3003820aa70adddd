import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/*
 * Small helpers over @peculiar/x509 for our own authorities: P-256 keys, PEM in and out. Certificates start five minutes
 * early, so that a clock that runs a little behind still takes them.
 */

x509.cryptoProvider.set(webcrypto as never);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;
const backdateMs = 5 * 60_000;

export type KeyPair = webcrypto.CryptoKeyPair;

export interface Authority {
  certificate: x509.X509Certificate;
  keys: KeyPair;
}

export interface DistinguishedName {
  /** CN. */
  commonName: string;
  /** O, one per entry. */
  organizations?: readonly string[];
}

export interface LeafRequest {
  subject: DistinguishedName;
  publicKey: webcrypto.CryptoKey;
  usages: readonly ('server' | 'client')[];
  /** DNS names, IP addresses and URIs of the subject alternative name. */
  names?: readonly string[];
  lifetimeMs: number;
  now: number;
}

export function generateKeys(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<KeyPair>;
}

/** PKCS#8. */
export async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** Reads a P-256 private key (PKCS#8 or SEC1) and works out its public half. */
export async function keysFromPem(pem: string): Promise<KeyPair> {
  const key = createPrivateKey(pem);
  const jwk = key.export({ format: 'jwk' });
  const { d: _private, ...publicJwk } = jwk;
  return {
    privateKey: await webcrypto.subtle.importKey('jwk', jwk, algorithm, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']),
  };
}

/** A self-signed authority that may sign leaves only. */
export async function createAuthority(
  subject: DistinguishedName,
  lifetimeMs: number,
  now: number,
): Promise<Authority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: nameOf(subject),
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + lifetimeMs),
    signingAlgorithm: signing,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, keys };
}

export async function loadAuthority(certificatePem: string, keyPem: string): Promise<Authority> {
  return { certificate: new x509.X509Certificate(certificatePem), keys: await keysFromPem(keyPem) };
}

export async function issueCertificate(
  authority: Authority,
  request: LeafRequest,
): Promise<x509.X509Certificate> {
  const { server, client } = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(request.usages.map((usage) => (usage === 'server' ? server : client))),
    await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
    await x509.SubjectKeyIdentifierExtension.create(request.publicKey),
  ];
  if (request.names && request.names.length > 0) {
    extensions.push(new x509.SubjectAlternativeNameExtension(request.names.map(alternativeName)));
  }
  return x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: nameOf(request.subject),
    issuer: authority.certificate.subject,
    notBefore: new Date(request.now - backdateMs),
    notAfter: new Date(Math.min(request.now + request.lifetimeMs, authority.certificate.notAfter.getTime())),
    signingAlgorithm: signing,
    publicKey: request.publicKey,
    signingKey: authority.keys.privateKey,
    extensions,
  });
}

export function parseCertificate(pem: string): x509.X509Certificate {
  return new x509.X509Certificate(pem);
}

function alternativeName(name: string): { type: 'dns' | 'ip' | 'url'; value: string } {
  if (isIP(name) !== 0) return { type: 'ip', value: name };
  return name.includes('://') ? { type: 'url', value: name } : { type: 'dns', value: name };
}

function nameOf(subject: DistinguishedName): { [attribute: string]: string[] }[] {
  const organizations = (subject.organizations ?? []).map((one) => ({ O: [one] }));
  return [...organizations, { CN: [subject.commonName] }];
}

/** 127 random bits, never negative. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

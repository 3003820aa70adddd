import 'reflect-metadata';
import { createPrivateKey, X509Certificate as NodeCertificate, randomBytes } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError } from '../kit/coded-error.ts';
import { type AuthorityMaterial, checkAuthority } from './authority-material.ts';
import type { KeyType } from './certificate-signing-request.ts';

export const DAY_MS = 24 * 60 * 60 * 1000;

export interface CertificateTemplate {
  /** The subject's public key, DER SubjectPublicKeyInfo. */
  publicKey: Uint8Array;
  /** The request that the key came in, PEM: what an external authority signs. */
  csr?: string;
  /** RFC 4514 name, as `CN=admin,O=system:masters`. Default none: the alternative names are then critical (RFC 5280 4.2.1.6). */
  subject?: string;
  uris?: readonly string[];
  dnsNames?: readonly string[];
  ipAddresses?: readonly string[];
  /** Wanted lifetime in ms. Default 24 h; cut to `maxTtlMs` and to the authority's own end. */
  ttlMs?: number;
  /** Default both. */
  usages?: readonly ('server' | 'client')[];
}

export interface IssuedCertificate {
  /** PEM. */
  certificate: string;
  /** PEM of the intermediates between the certificate and the root; '' when there are none. */
  intermediates: string;
  /** PEM of the roots. */
  root: string;
  notBefore: Date;
  notAfter: Date;
  /** Hexadecimal. */
  serialNumber: string;
}

export interface CertificateAuthority {
  /** PEM of the roots that verifiers trust. */
  readonly root: string;
  readonly intermediates: string;
  /** End of the signing certificate. */
  readonly notAfter: Date;
  /** Somebody else signs: what stands in a request counts then. */
  readonly external?: boolean;
  issue(template: CertificateTemplate): Promise<IssuedCertificate>;
}

export interface AuthorityOptions {
  /** Default 24 h. */
  defaultTtlMs?: number;
  /** Default 90 days. */
  maxTtlMs?: number;
  /** Certificates begin this long before now, for clocks that are behind. Default 2 minutes. */
  backdateMs?: number;
  clock?: Clock;
}

/** Makes an authority of its parts. Throws `AuthorityInvalid` with everything that is wrong with them. */
export async function createAuthority(
  material: AuthorityMaterial,
  options: AuthorityOptions = {},
): Promise<CertificateAuthority> {
  const clock = options.clock ?? systemClock;
  const { defaultTtlMs = DAY_MS, maxTtlMs = 90 * DAY_MS, backdateMs = 2 * 60_000 } = options;
  const problems = checkAuthority(material, clock.now());
  if (problems.length > 0)
    throw new CodedError(
      'AuthorityInvalid',
      `the certificate authority cannot be used: ${problems.join('; ')}`,
    );
  const { key: signingKey, hash } = await importSigningKey(material.key);
  const issuer = new X509Certificate(material.certificate);
  const authorityKeyId = await AuthorityKeyIdentifierExtension.create(issuer.publicKey);
  const intermediates = intermediatesOf(material);

  return {
    root: material.root,
    intermediates,
    notAfter: issuer.notAfter,
    async issue(template) {
      const now = clock.now();
      const wanted = template.ttlMs && template.ttlMs > 0 ? template.ttlMs : defaultTtlMs;
      const notAfter = new Date(Math.min(now + Math.min(wanted, maxTtlMs), issuer.notAfter.getTime()));
      if (notAfter.getTime() <= now)
        throw new CodedError(
          'AuthorityExpired',
          `the certificate authority ended on ${issuer.notAfter.toISOString()}`,
        );
      const notBefore = new Date(Math.max(now - backdateMs, issuer.notBefore.getTime()));
      const publicKey = Uint8Array.from(template.publicKey);
      const certificate = await X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        ...(template.subject ? { subject: template.subject } : {}),
        issuer: issuer.subjectName,
        notBefore,
        notAfter,
        publicKey,
        signingKey,
        signingAlgorithm: { name: signingKey.algorithm.name, hash },
        extensions: [
          ...leafExtensions(template),
          authorityKeyId,
          await SubjectKeyIdentifierExtension.create(publicKey),
        ],
      });
      return {
        certificate: `${certificate.toString('pem')}\n`,
        intermediates,
        root: material.root,
        notBefore: certificate.notBefore,
        notAfter: certificate.notAfter,
        serialNumber: certificate.serialNumber,
      };
    },
  };
}

function leafExtensions(template: CertificateTemplate): Extension[] {
  const names: JsonGeneralName[] = [
    ...(template.uris ?? []).map((value) => ({ type: 'url' as const, value })),
    ...(template.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(template.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  if (names.length === 0 && !template.subject)
    throw new CodedError('CertificateUnnamed', 'a certificate needs a subject or an alternative name');
  const usages = template.usages ?? ['server', 'client'];
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
    new ExtendedKeyUsageExtension(
      usages.map((usage) => (usage === 'server' ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth)),
    ),
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names, !template.subject)] : []),
  ];
}

export interface SelfSignedOptions {
  /** Goes into the subject: `O=<organization>,CN=Ostria root`. Default `cluster.local`. */
  organization?: string;
  /** Default `ecdsa-p256`. */
  keyType?: KeyType;
  /** Default ten years. */
  ttlMs?: number;
  clock?: Clock;
}

/** A new root that signs leaves itself. */
export async function createSelfSigned(options: SelfSignedOptions = {}): Promise<AuthorityMaterial> {
  const { organization = 'cluster.local', keyType = 'ecdsa-p256', ttlMs = 3_652 * DAY_MS } = options;
  const now = (options.clock ?? systemClock).now();
  const algorithm = keyAlgorithm(keyType);
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: [organization] }, { CN: ['Ostria root'] }],
    notBefore: new Date(now - 2 * 60_000),
    notAfter: new Date(now + ttlMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({
    format: 'pem',
    type: 'pkcs8',
  });
  const pem = `${root.toString('pem')}\n`;
  return { certificate: pem, key: key.toString(), root: pem, chain: pem };
}

function keyAlgorithm(keyType: KeyType) {
  if (keyType === 'ecdsa-p256') return { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  if (keyType === 'ecdsa-p384') return { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: Number(keyType.slice(4)),
    publicExponent: new Uint8Array([1, 0, 1]),
  };
}

async function importSigningKey(pem: string): Promise<{ key: CryptoKey; hash: string }> {
  const key = createPrivateKey(pem);
  const curves: Record<string, [string, string]> = {
    prime256v1: ['P-256', 'SHA-256'],
    secp384r1: ['P-384', 'SHA-384'],
    secp521r1: ['P-521', 'SHA-512'],
  };
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType === 'ec' && curve)
    return { key: key.toCryptoKey({ name: 'ECDSA', namedCurve: curve[0] }, false, ['sign']), hash: curve[1] };
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { key: key.toCryptoKey(algorithm, false, ['sign']), hash: 'SHA-256' };
  }
  throw new CodedError(
    'AuthorityInvalid',
    `ca-key.pem holds a key of type ${key.asymmetricKeyType}; use RSA or ECDSA on P-256, P-384 or P-521`,
  );
}

/** What leaves must present besides themselves: the signing certificate and its issuers, without roots. */
function intermediatesOf(material: AuthorityMaterial): string {
  const seen = new Set<string>();
  const blocks: string[] = [];
  for (const pem of [material.certificate, ...material.chain.split(/(?<=-----END CERTIFICATE-----)\s*/)]) {
    if (!pem.includes('BEGIN CERTIFICATE')) continue;
    const certificate = new NodeCertificate(pem);
    if (seen.has(certificate.fingerprint256)) continue;
    seen.add(certificate.fingerprint256);
    const selfSigned = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
    if (!selfSigned) blocks.push(certificate.toString());
  }
  return blocks.join('');
}

/** 127 random bits: positive and within RFC 5280's 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from '../kit/coded-error.ts';
import { pemBlocks } from './pem.ts';

/** The PEM texts of the files that a certificate authority is made of; the names are Istio's. */
export interface AuthorityMaterial {
  /** ca-cert.pem: the signing certificate. */
  certificate: string;
  /** ca-key.pem: its private key. */
  key: string;
  /** root-cert.pem: one root or several. */
  root: string;
  /** cert-chain.pem: the signing certificate and its issuers up to (with or without) the root. */
  chain: string;
  /** ca-crl.pem: lists of revoked certificates, one per authority. Absent: none is distributed. */
  crl?: string;
}

const MAX_CHAIN = 10;

/** The roots alone: somebody else has the key. */
export function isExternalMaterial({ key, certificate }: AuthorityMaterial): boolean {
  return key === '' && certificate === '';
}

/** Everything that is wrong with the material, in words that say what to mend. Empty: usable. */
export function checkAuthority(material: AuthorityMaterial, now: number): string[] {
  const problems: string[] = [];
  const signing = readCertificates(material.certificate, 'ca-cert.pem', problems);
  const roots = readCertificates(material.root, 'root-cert.pem', problems);
  const chain = readCertificates(material.chain, 'cert-chain.pem', problems, { empty: true });
  const key = readKey(material.key, problems);
  const [certificate] = signing;
  if (!certificate) return problems;
  if (signing.length > 1)
    problems.push('ca-cert.pem holds more than one certificate; put the issuers into cert-chain.pem');
  checkSigner(certificate, key, problems);
  const path = chainOf(certificate, [...chain, ...roots], roots, problems);
  for (const [name, member] of path) checkMember(name, member, now, problems);
  return problems;
}

function checkSigner(certificate: X509Certificate, key: KeyObject | undefined, problems: string[]): void {
  if (key && !certificate.checkPrivateKey(key))
    problems.push('ca-key.pem is not the key of ca-cert.pem; give the key that the certificate was made for');
  if (!certificate.ca)
    problems.push(
      `ca-cert.pem (${title(certificate)}) is not a CA: its basic constraints lack CA:TRUE; ask your authority for a subordinate CA certificate`,
    );
  const type = certificate.publicKey.asymmetricKeyType;
  if (type !== 'ec' && type !== 'rsa')
    problems.push(`ca-cert.pem has a key of type ${type}; use RSA or ECDSA`);
}

/** Walks from the signing certificate to a root; reports where the walk stops. */
function chainOf(
  certificate: X509Certificate,
  pool: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  problems: string[],
): [string, X509Certificate][] {
  const path: [string, X509Certificate][] = [['ca-cert.pem', certificate]];
  let at = certificate;
  while (!roots.some((root) => root.fingerprint256 === at.fingerprint256)) {
    const issuer = pool.find(
      (candidate) => issued(candidate, at) && candidate.fingerprint256 !== at.fingerprint256,
    );
    if (!issuer || path.length > MAX_CHAIN) {
      problems.push(
        `the chain is broken: no certificate in cert-chain.pem or root-cert.pem issued ${title(at)} (issuer ${oneLine(at.issuer)}); add that issuer to cert-chain.pem or its root to root-cert.pem`,
      );
      return path;
    }
    path.push([roots.includes(issuer) ? 'root-cert.pem' : 'cert-chain.pem', issuer]);
    at = issuer;
  }
  return path;
}

function checkMember(name: string, certificate: X509Certificate, now: number, problems: string[]): void {
  if (certificate.validToDate.getTime() <= now)
    problems.push(
      `${name} (${title(certificate)}) expired on ${certificate.validToDate.toISOString()}; supply a renewed one`,
    );
  if (certificate.validFromDate.getTime() > now + 60_000)
    problems.push(
      `${name} (${title(certificate)}) is valid only from ${certificate.validFromDate.toISOString()}`,
    );
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

function readCertificates(
  text: string,
  file: string,
  problems: string[],
  options: { empty?: boolean } = {},
): X509Certificate[] {
  const blocks = pemBlocks(text);
  if (blocks.length === 0 && !options.empty) problems.push(`${file} holds no PEM certificate`);
  if (blocks.length > 100) problems.push(`${file} holds ${blocks.length} certificates; at most 100 are read`);
  const certificates: X509Certificate[] = [];
  for (const [index, block] of blocks.slice(0, 100).entries()) {
    try {
      certificates.push(new X509Certificate(block));
    } catch (error) {
      problems.push(`${file}: certificate ${index + 1} cannot be read: ${messageOf(error)}`);
    }
  }
  return certificates;
}

function readKey(text: string, problems: string[]): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    // The library's message could quote the input; a private key must never reach a log.
    problems.push(
      text.includes('ENCRYPTED')
        ? 'ca-key.pem is encrypted; supply it without a passphrase'
        : 'ca-key.pem holds no PEM private key',
    );
    return undefined;
  }
}

function title(certificate: X509Certificate): string {
  return oneLine(certificate.subject) || `serial ${certificate.serialNumber}`;
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ');
}

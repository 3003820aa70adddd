import 'reflect-metadata';
import { createHash, X509Certificate as NodeCertificate, verify } from 'node:crypto';
import { X509Certificate, X509Crl } from '@peculiar/x509';
import { messageOf } from '../kit/coded-error.ts';
import { pemBlocks, pemToDer } from './pem.ts';

/** A list of revoked certificates of one authority, whose signature holds. */
export interface RevocationList {
  /** The authority: see `signerKey`. */
  readonly signer: string;
  readonly pem: string;
  /** Name of the authority, as in its certificates' issuer. */
  readonly issuer: string;
  readonly nextUpdate: number;
  /** Serial numbers, lower-case hexadecimal without leading zeros. */
  readonly revoked: ReadonlySet<string>;
}

const label = 'X509 CRL';
const maxBytes = 512 * 1024;

/** How an authority is named that lists and certificates come from. */
export function signerKey(pem: string): string {
  const key = new X509Certificate(pem).publicKey.rawData;
  return createHash('sha256').update(new Uint8Array(key)).digest('hex').slice(0, 16);
}

/**
 * Reads ca-crl.pem. Every list must be signed by one of `authorities` (PEM) and be in date: what is not is told in `problems`
 * and left out.
 */
export function readRevocationLists(
  text: string,
  authorities: readonly string[],
  now: number,
): { lists: RevocationList[]; problems: string[] } {
  const lists: RevocationList[] = [];
  const problems: string[] = [];
  if (text.length > maxBytes) return { lists, problems: [`more than ${maxBytes} bytes`] };
  const blocks = pemBlocks(text, label);
  if (blocks.length === 0) problems.push(`no PEM block "${label}" is in it`);
  for (const [index, pem] of blocks.entries()) {
    let read: RevocationList | string;
    try {
      read = readList(pem, authorities, now);
    } catch (error) {
      read = messageOf(error);
    }
    if (typeof read === 'string') problems.push(`list ${index + 1}: ${read}`);
    else lists.push(read);
  }
  return { lists, problems };
}

function readList(pem: string, authorities: readonly string[], now: number): RevocationList | string {
  const der = pemToDer(pem, label) ?? Buffer.alloc(0);
  const list = new X509Crl(Uint8Array.from(der));
  for (const authority of authorities) {
    const certificate = new X509Certificate(authority);
    if (certificate.subject !== list.issuer) continue;
    if (!isSignedBy(der, authority)) continue;
    const nextUpdate = list.nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY;
    if (nextUpdate <= now) return `it ended on ${new Date(nextUpdate).toISOString()}; publish a new one`;
    return {
      signer: signerKey(authority),
      pem,
      issuer: list.issuer,
      nextUpdate,
      revoked: new Set(list.entries.map(({ serialNumber }) => plainSerial(serialNumber))),
    };
  }
  return `no authority of the mesh signed it (issuer ${list.issuer})`;
}

/** Hash by the last part of the algorithm's identifier: ecdsa-with-SHA… and sha…WithRSAEncryption. */
const hashes: Readonly<Record<string, string>> = {
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
};

/**
 * Checks the signature over the bytes as they are: the library makes them anew and so finds lists with entries wrong. CertificateList
 * is the list, the algorithm and the signature (RFC 5280, 5.1).
 */
function isSignedBy(der: Buffer, authority: string): boolean {
  try {
    const [whole] = elements(der);
    const [list, algorithm, signature] = elements(whole?.content ?? Buffer.alloc(0));
    const [oid] = elements(algorithm?.content ?? Buffer.alloc(0));
    const hash = hashes[oid?.content.toString('hex') ?? ''];
    if (!list || !signature || hash === undefined) return false;
    // A bit string begins with the number of unused bits.
    return verify(hash, list.whole, new NodeCertificate(authority).publicKey, signature.content.subarray(1));
  } catch {
    return false;
  }
}

/** The DER elements of some bytes, one after the other. Throws RangeError where they are cut short. */
function elements(bytes: Buffer): { whole: Buffer; content: Buffer }[] {
  const found: { whole: Buffer; content: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes.readUInt8(at + 1);
    const sizeBytes = first < 0x80 ? 0 : first & 0x7f;
    const length = sizeBytes === 0 ? first : bytes.readUIntBE(at + 2, sizeBytes);
    const start = at + 2 + sizeBytes;
    if (start + length > bytes.length) throw new RangeError('cut short');
    found.push({ whole: bytes.subarray(at, start + length), content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

/** Whether one of the lists names the certificate. */
export function isRevoked(lists: readonly RevocationList[], certificate: NodeCertificate): boolean {
  if (lists.length === 0) return false;
  const serial = plainSerial(certificate.serialNumber);
  if (!lists.some(({ revoked }) => revoked.has(serial))) return false;
  const { issuer } = new X509Certificate(Uint8Array.from(certificate.raw));
  return lists.some((list) => list.issuer === issuer && list.revoked.has(serial));
}

function plainSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+(?=.)/, '');
}

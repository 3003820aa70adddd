import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { derToPem } from './pem.ts';

/*
 * Writes PKCS #10 requests by hand (RFC 2986, DER of X.690): the agent must stay small, and a library of X.509 costs more memory
 * than the agent's whole budget allows.
 */

export type KeyType = 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096';
export const keyTypes: readonly KeyType[] = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096'];

/** Contents of a signature's AlgorithmIdentifier (RFC 5758, RFC 4055), by the key. */
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const ECDSA_WITH_SHA384 = Buffer.from('06082a8648ce3d040303', 'hex');
const RSA_WITH_SHA256 = Buffer.from('06092a864886f70d01010b0500', 'hex');
const OID_EXTENSION_REQUEST = Buffer.from('06092a864886f70d01090e', 'hex');
const OID_SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');
const VERSION_0 = Buffer.from('020100', 'hex');

const tag = {
  boolean: 0x01,
  bitString: 0x03,
  octetString: 0x04,
  sequence: 0x30,
  set: 0x31,
  attributes: 0xa0,
  uri: 0x86,
};

/** A new private key, PEM PKCS #8. Default ECDSA P-256. */
export async function createKey(type: KeyType = 'ecdsa-p256'): Promise<string> {
  const { privateKey } = type.startsWith('rsa-')
    ? await promisify(generateKeyPair)('rsa', { modulusLength: Number(type.slice(4)) })
    : await promisify(generateKeyPair)('ec', { namedCurve: type === 'ecdsa-p384' ? 'P-384' : 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** Whether a private key (PEM) is of that kind. */
export function isOfType(key: string, type: KeyType): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails: details } = createPrivateKey(key);
  if (asymmetricKeyType === 'rsa') return type === `rsa-${details?.modulusLength}`;
  return type === (details?.namedCurve === 'secp384r1' ? 'ecdsa-p384' : 'ecdsa-p256');
}

/** A request for `key` (PEM, of one of the types above) that names `uri`. The authority decides by the credential; the name is for its logs. */
export function createSigningRequest(key: string, uri: string): string {
  const privateKey = createPrivateKey(key);
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const name = element(tag.sequence, element(tag.uri, Buffer.from(uri, 'latin1')));
  const extension = element(
    tag.sequence,
    OID_SUBJECT_ALT_NAME,
    element(tag.boolean, Buffer.from([0xff])),
    element(tag.octetString, name),
  );
  const attribute = element(
    tag.sequence,
    OID_EXTENSION_REQUEST,
    element(tag.set, element(tag.sequence, extension)),
  );
  const info = element(
    tag.sequence,
    VERSION_0,
    element(tag.sequence),
    publicKey,
    element(tag.attributes, attribute),
  );
  const { hash, algorithm } = signatureOf(privateKey);
  const signature = sign(hash, info, privateKey);
  const request = element(
    tag.sequence,
    info,
    element(tag.sequence, algorithm),
    element(tag.bitString, Buffer.from([0]), signature),
  );
  return derToPem(request, 'CERTIFICATE REQUEST');
}

function signatureOf(key: KeyObject): { hash: string; algorithm: Buffer } {
  if (key.asymmetricKeyType === 'rsa') return { hash: 'sha256', algorithm: RSA_WITH_SHA256 };
  return key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
    ? { hash: 'sha384', algorithm: ECDSA_WITH_SHA384 }
    : { hash: 'sha256', algorithm: ECDSA_WITH_SHA256 };
}

function element(identifier: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError('certificate request too large');
  return Buffer.concat([Buffer.from([identifier, ...size]), content]);
}

import { createPrivateKey, createPublicKey, generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { derToPem } from './pem.ts';

/*
 * Writes PKCS #10 requests by hand (RFC 2986, DER of X.690): the agent must stay small, and a library of X.509 costs more memory
 * than the agent's whole budget allows.
 */

const OID_ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
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

/** A new ECDSA P-256 private key, PEM PKCS #8. */
export async function createKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** A request for `key` (PEM, ECDSA P-256) that names `uri`. The authority decides by the credential; the name is for its logs. */
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
  const signature = sign('sha256', info, privateKey);
  const request = element(
    tag.sequence,
    info,
    element(tag.sequence, OID_ECDSA_WITH_SHA256),
    element(tag.bitString, Buffer.from([0]), signature),
  );
  return derToPem(request, 'CERTIFICATE REQUEST');
}

function element(identifier: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError('certificate request too large');
  return Buffer.concat([Buffer.from([identifier, ...size]), content]);
}

import 'reflect-metadata';
import { createPublicKey } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509';
import { pemBlocks, pemToDer } from './pem.ts';

export const MAX_CSR_BYTES = 16_384;

const LABELS = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'];
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];
const RSA_BITS = { min: 2_048, max: 4_096 };

export type ParsedCertificateRequest =
  | {
      ok: true;
      publicKey: Buffer;
      /** Why nobody should sign the request as it is for `identity` alone; undefined: it asks for that and no more. */
      asksForMore(identity: string): string | undefined;
    }
  | { ok: false; error: string };

/**
 * Takes the public key out of a PEM certificate request. Names in it do not matter where we sign ourselves, since identity comes from
 * the caller's credential. The signature proves that the caller holds the private key.
 */
export async function parseCertificateRequest(pem: string): Promise<ParsedCertificateRequest> {
  if (pem.length > MAX_CSR_BYTES)
    return { ok: false, error: `the certificate request exceeds ${MAX_CSR_BYTES} bytes` };
  const label = LABELS.find((candidate) => pemBlocks(pem, candidate).length === 1);
  const der = label ? pemToDer(pem, label) : undefined;
  if (!der) return { ok: false, error: 'not one PEM block "CERTIFICATE REQUEST"' };
  let request: Pkcs10CertificateRequest;
  let publicKey: Buffer;
  try {
    request = new Pkcs10CertificateRequest(Uint8Array.from(der));
    publicKey = Buffer.from(request.publicKey.rawData);
  } catch {
    return { ok: false, error: 'the certificate request is not valid PKCS #10 (RFC 2986)' };
  }
  const weak = keyProblem(publicKey);
  if (weak) return { ok: false, error: weak };
  if (!(await request.verify().catch(() => false)))
    return { ok: false, error: 'the signature of the certificate request does not fit its public key' };
  return { ok: true, publicKey, asksForMore: (identity) => surplusOf(request, identity) };
}

/** An external authority signs what stands in the request. */
function surplusOf(request: Pkcs10CertificateRequest, identity: string): string | undefined {
  try {
    const { extensions } = request;
    const names = extensions
      .filter((one) => one instanceof SubjectAlternativeNameExtension)
      .flatMap((one) => one.names.toJSON());
    const [only] = names;
    if (names.length !== 1 || only?.type !== 'url' || only.value !== identity)
      return `the certificate request must name ${identity} as its only alternative name`;
    if (request.subjectName.getField('CN').length > 0)
      return 'the certificate request must not name a subject';
    const signs = (one: unknown): boolean =>
      (one instanceof BasicConstraintsExtension && one.ca) ||
      (one instanceof KeyUsagesExtension &&
        (one.usages & (KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)) !== 0);
    if (extensions.some(signs))
      return 'the certificate request asks for a certificate that could sign others';
    return undefined;
  } catch {
    return 'the extensions of the certificate request cannot be read';
  }
}

function keyProblem(spki: Buffer): string | undefined {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const details = key.asymmetricKeyDetails;
    if (key.asymmetricKeyType === 'ec') {
      const curve = details?.namedCurve ?? 'explicit parameters';
      return CURVES.includes(curve) ? undefined : `ECDSA on ${curve} is not accepted; use P-256`;
    }
    if (key.asymmetricKeyType === 'rsa') {
      const bits = details?.modulusLength ?? 0;
      // Verifying a giant key costs the authority much and the caller nothing.
      return bits >= RSA_BITS.min && bits <= RSA_BITS.max
        ? undefined
        : `RSA keys must have ${RSA_BITS.min} to ${RSA_BITS.max} bits, not ${bits}`;
    }
    return `keys of type ${key.asymmetricKeyType} are not accepted; use ECDSA P-256 or RSA`;
  } catch {
    return 'the public key of the certificate request cannot be read';
  }
}

import {
  constants,
  createHmac,
  createPublicKey,
  type JsonWebKeyInput,
  timingSafeEqual,
  verify,
} from 'node:crypto';

/** A signature of a JSON Web Signature, with the key that is to have made it. */
export interface SignedText {
  /** Such as `RS256`. */
  readonly algorithm: string;
  /** A JSON Web Key: public, or the secret of an HMAC. */
  readonly key: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly signature: Uint8Array;
}

const keyTypes: Readonly<Record<string, string>> = { RS: 'RSA', PS: 'RSA', ES: 'EC', HS: 'oct', Ed: 'OKP' };
const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** Whether the key made the signature; undefined: a key or an algorithm that do not go together, or that nobody knows. */
export function verifySignature({ algorithm, key, text, signature }: SignedText): boolean | undefined {
  if (keyTypes[algorithm.slice(0, 2)] !== key.kty) return undefined;
  if (key.kty === 'EC' && curves[algorithm] !== key.crv) return undefined;
  const hash = `sha${algorithm.slice(2)}`;
  const data = new TextEncoder().encode(text);
  try {
    if (key.kty === 'oct') {
      const made = createHmac(hash, Buffer.from(String(key.k), 'base64url'))
        .update(data)
        .digest();
      return made.length === signature.length && timingSafeEqual(made, signature);
    }
    const publicKey = createPublicKey({ key, format: 'jwk' } as JsonWebKeyInput);
    if (key.kty === 'OKP') return verify(null, data, publicKey, signature);
    const padding = algorithm.startsWith('PS')
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : {};
    return verify(hash, data, { key: publicKey, dsaEncoding: 'ieee-p1363', ...padding }, signature);
  } catch {
    return undefined;
  }
}

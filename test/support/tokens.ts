import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';

/** Signs tokens of test issuers; all share one key. */
export interface TokenMaker {
  /** A JSON Web Key Set as text. */
  readonly keys: string;
  sign(claims: object, header?: { readonly kid?: string; readonly alg?: string }): string;
}

export function startTokenMaker(): TokenMaker {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    keys: JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' }] }),
    sign: (claims, { kid = 'one', alg = 'ES256' } = {}) =>
      signed(privateKey, { alg, kid, typ: 'JWT' }, claims),
  };
}

function signed(key: KeyObject, header: object, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode(header)}.${encode(claims)}`;
  const signature = createSign('sha256').update(text).sign({ key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

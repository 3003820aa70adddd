/*
 * What can be told of a certificate and a private key without any cryptography, in any JavaScript runtime: enough to know before
 * Envoy does whether it would take them. Only definite lengths (DER); anything else is "unreadable". Never throws.
 */

export interface CertificateFacts {
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly key: PublicKeyFacts;
}

/** `identity`: equal for the two halves of a pair; undefined where it cannot be told. `bits`: of RSA, or of the curve (0: unknown). */
export interface PublicKeyFacts {
  readonly type: 'rsa' | 'ec' | 'other';
  readonly bits: number;
  readonly identity?: string;
}

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

/** The PEM blocks of a text, in order; blocks whose base64 is broken are left out. */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  const pattern = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g;
  for (const [, label = '', body = ''] of text.matchAll(pattern)) {
    try {
      // A header of an encrypted key (RFC 1421) is no base64.
      const der = Uint8Array.from(atob(body.replace(/\s+/g, '')), (char) => char.charCodeAt(0));
      blocks.push({ label, der });
    } catch {}
  }
  return blocks;
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const tags = { integer: 2, bitString: 3, octetString: 4, objectId: 6, utcTime: 23, sequence: 48 } as const;

/** The elements of a DER sequence of elements; undefined where it is none. */
function elements(bytes: Uint8Array): Element[] | undefined {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? -1;
    let start = at + 2;
    if (length > 127) {
      const count = length & 127;
      if (count === 0 || count > 4) return undefined;
      length = bytes.subarray(start, start + count).reduce((sum, byte) => sum * 256 + byte, 0);
      start += count;
    }
    if (length < 0 || start + length > bytes.length) return undefined;
    found.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function sequence(element: Element | undefined): Element[] | undefined {
  return element?.tag === tags.sequence ? elements(element.content) : undefined;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Undefined: not a certificate. */
export function certificateFacts(der: Uint8Array): CertificateFacts | undefined {
  const outer = sequence(elements(der)?.[0]);
  const all = sequence(outer?.[0]);
  if (outer?.length !== 3 || !all) return undefined;
  // [0] version may be absent (X.509 v1).
  const fields = all[0]?.tag === 0xa0 ? all.slice(1) : all;
  const [from, to] = sequence(fields[3]) ?? [];
  const notBefore = time(from);
  const notAfter = time(to);
  const key = publicKey(fields[5]);
  return notBefore === undefined || notAfter === undefined || !key ? undefined : { notBefore, notAfter, key };
}

/** UTCTime `YYMMDDHHMMSSZ` (years 1950 to 2049) or GeneralizedTime. */
function time(element: Element | undefined): number | undefined {
  if (!element) return undefined;
  const text = String.fromCharCode(...element.content);
  const parts = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text)?.slice(1).map(Number);
  if (!parts) return undefined;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts;
  const full = element.tag === tags.utcTime ? year + (year < 50 ? 2000 : 1900) : year;
  return Date.UTC(full, month - 1, day, hour, minute, second);
}

const rsaId = '2a864886f70d010101';
const ecId = '2a8648ce3d0201';
const curves: Readonly<Record<string, number>> = {
  '2a8648ce3d030107': 256,
  '2b81040022': 384,
  '2b81040023': 521,
};

function publicKey(element: Element | undefined): PublicKeyFacts | undefined {
  const [algorithm, bits] = sequence(element) ?? [];
  const [id, parameters] = sequence(algorithm) ?? [];
  if (id?.tag !== tags.objectId || bits?.tag !== tags.bitString) return undefined;
  const value = bits.content.subarray(1);
  switch (hex(id.content)) {
    case rsaId: {
      const modulus = sequence(elements(value)?.[0])?.[0];
      return modulus?.tag === tags.integer ? rsaKey(modulus.content) : undefined;
    }
    case ecId:
      return { type: 'ec', bits: curve(parameters), ...point(value) };
    default:
      return { type: 'other', bits: 0 };
  }
}

function rsaKey(modulus: Uint8Array): PublicKeyFacts {
  const trimmed = modulus[0] === 0 ? modulus.subarray(1) : modulus;
  return { type: 'rsa', bits: trimmed.length * 8, identity: `rsa ${hex(trimmed)}` };
}

function curve(parameters: Element | undefined): number {
  return parameters?.tag === tags.objectId ? (curves[hex(parameters.content)] ?? 0) : 0;
}

/** Compressed points cannot be compared without arithmetic. */
function point(value: Uint8Array): { identity?: string } {
  return value[0] === 4 ? { identity: `ec ${hex(value)}` } : {};
}

/** What a private key's public half is. Undefined: not a private key, or an encrypted one. */
export function privateKeyFacts({ label, der }: PemBlock): PublicKeyFacts | undefined {
  const fields = sequence(elements(der)?.[0]);
  if (!fields) return undefined;
  if (label === 'RSA PRIVATE KEY') return rsaPrivateKey(fields);
  if (label === 'EC PRIVATE KEY') return ecPrivateKey(fields, undefined);
  if (label !== 'PRIVATE KEY') return undefined;
  const [id, parameters] = sequence(fields[1]) ?? [];
  const inner = fields[2]?.tag === tags.octetString ? elements(fields[2].content)?.[0] : undefined;
  if (id?.tag !== tags.objectId || !inner) return undefined;
  const kind = hex(id.content);
  if (kind !== rsaId && kind !== ecId) return { type: 'other', bits: 0 };
  const key = sequence(inner);
  if (!key) return undefined;
  return kind === rsaId ? rsaPrivateKey(key) : ecPrivateKey(key, parameters);
}

function rsaPrivateKey(fields: Element[]): PublicKeyFacts | undefined {
  const modulus = fields[1];
  return modulus?.tag === tags.integer && fields.length >= 9 ? rsaKey(modulus.content) : undefined;
}

/** SEC 1: version, key, [0] curve, [1] public point; the last two are optional. */
function ecPrivateKey(fields: Element[], parameters: Element | undefined): PublicKeyFacts | undefined {
  if (fields[1]?.tag !== tags.octetString) return undefined;
  const named = fields.find(({ tag }) => tag === 0xa0);
  const shown = fields.find(({ tag }) => tag === 0xa1);
  const bits = shown && elements(shown.content)?.[0];
  return {
    type: 'ec',
    bits: curve(parameters ?? (named && elements(named.content)?.[0])),
    ...(bits?.tag === tags.bitString ? point(bits.content.subarray(1)) : {}),
  };
}

type Json = Readonly<Record<string, unknown>>;

/** y² = x³ − 3x + b over the field of p: the curves that Envoy verifies signatures on. */
interface Curve {
  readonly p: bigint;
  readonly b: bigint;
  readonly alg: string;
}

const curves: Readonly<Record<string, Curve>> = {
  'P-256': {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    alg: 'ES256',
  },
  'P-384': {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    alg: 'ES384',
  },
  'P-521': {
    p: 2n ** 521n - 1n,
    b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    alg: 'ES512',
  },
};

const publicMembers = ['kty', 'use', 'key_ops', 'alg', 'kid', 'n', 'e', 'crv', 'x', 'y', 'x5c'];
/** Shorter moduli are no protection: they are refused by Envoy's library too. */
const minRsaBits = 1024;

/**
 * What of a JSON Web Key Set can verify signatures, as the text of a set; undefined: nothing. Envoy refuses a listener whose set holds
 * no good key, so what it would not take must not reach it. Private parts are left out.
 * @see https://www.rfc-editor.org/rfc/rfc7517
 */
export function usableKeys(text: string): string | undefined {
  let set: { keys?: unknown } | null;
  try {
    set = JSON.parse(text) as typeof set;
  } catch {
    return undefined;
  }
  if (typeof set !== 'object' || !Array.isArray(set?.keys)) return undefined;
  const keys = set.keys.filter(isUsable).map(forVerifying);
  return keys.length > 0 ? JSON.stringify({ keys }) : undefined;
}

function isUsable(key: unknown): key is Json {
  if (typeof key !== 'object' || key === null) return false;
  const { kty, kid, alg } = key as Json;
  if (![kid, alg].every((member) => member === undefined || typeof member === 'string')) return false;
  switch (kty) {
    case 'RSA':
      return isRsa(key as Json);
    case 'EC':
      return isOnCurve(key as Json);
    case 'OKP':
      return isEd25519(key as Json);
    case 'oct':
      return isSecret(key as Json);
    default:
      return false;
  }
}

function algorithmIs({ alg }: Json, pattern: RegExp): boolean {
  return alg === undefined || pattern.test(String(alg));
}

function isRsa(key: Json): boolean {
  const [n, e] = [numberOf(key.n), numberOf(key.e)];
  if (n === undefined || e === undefined || !algorithmIs(key, /^[RP]S(256|384|512)$/)) return false;
  return n.toString(2).length >= minRsaBits && n % 2n === 1n && e > 1n && e % 2n === 1n;
}

function isOnCurve(key: Json): boolean {
  const curve = curves[String(key.crv)];
  const [x, y] = [numberOf(key.x), numberOf(key.y)];
  if (!curve || x === undefined || y === undefined) return false;
  if (!algorithmIs(key, new RegExp(`^${curve.alg}$`)) || x >= curve.p || y >= curve.p) return false;
  return (y * y - (x * x * x - 3n * x + curve.b)) % curve.p === 0n;
}

function isEd25519(key: Json): boolean {
  return key.crv === 'Ed25519' && bytesOf(key.x)?.length === 32 && algorithmIs(key, /^EdDSA$/);
}

/** A shared secret: good only where the user wrote it into the rule. */
function isSecret(key: Json): boolean {
  return (bytesOf(key.k)?.length ?? 0) > 0 && algorithmIs(key, /^HS(256|384|512)$/);
}

function forVerifying(key: Json): Json {
  const members = key.kty === 'oct' ? [...publicMembers, 'k'] : publicMembers;
  return Object.fromEntries(members.filter((name) => name in key).map((name) => [name, key[name]]));
}

function bytesOf(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || !/^[\w-]+$/.test(text)) return undefined;
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function numberOf(text: unknown): bigint | undefined {
  const bytes = bytesOf(text);
  if (!bytes) return undefined;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return BigInt(`0x${hex}`);
}

import { toInt } from '../operators.ts';
import { CelError, type CelValue, type Opaque } from '../value.ts';
import { asString, handler, type Library } from './handler.ts';

const SUFFIXES: Record<string, [base: bigint, power: number]> = {
  n: [10n, -9],
  u: [10n, -6],
  m: [10n, -3],
  '': [10n, 0],
  k: [10n, 3],
  M: [10n, 6],
  G: [10n, 9],
  T: [10n, 12],
  P: [10n, 15],
  E: [10n, 18],
  Ki: [2n, 10],
  Mi: [2n, 20],
  Gi: [2n, 30],
  Ti: [2n, 40],
  Pi: [2n, 50],
  Ei: [2n, 60],
};
/** Quantities are kept in billionths, their finest unit. */
const SCALE = 1_000_000_000n;
const MAX_EXPONENT = 30;

/** A Kubernetes quantity (`250m`, `1.5Gi`, `2e3`) in billionths; finer parts are rounded up. Undefined where it is none. */
export function parseQuantity(text: string): bigint | undefined {
  const match = /^([+-]?)(\d+)?(?:\.(\d*))?(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  if (!match || (match[2] === undefined && !match[3])) return undefined;
  const [, sign, whole = '0', fraction = '', exponent, suffix = ''] = match;
  const [base, power] = exponent
    ? ([10n, Number(exponent.slice(1))] as const)
    : (SUFFIXES[suffix] ?? [10n, 0]);
  if (Math.abs(power) > (base === 2n ? 60 : MAX_EXPONENT)) return undefined;
  let value = BigInt(whole + fraction) * SCALE;
  let divisor = 10n ** BigInt(fraction.length);
  if (power >= 0) value *= base ** BigInt(power);
  else divisor *= base ** BigInt(-power);
  const rounded = (value + divisor - 1n) / divisor;
  return sign === '-' ? -rounded : rounded;
}

class Quantity implements Opaque {
  readonly opaque = 'kubernetes.Quantity';
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
  equals(other: Opaque): boolean {
    return other instanceof Quantity && other.nanos === this.nanos;
  }
}

function toQuantity(value: CelValue | undefined): Quantity {
  if (value instanceof Quantity) return value;
  if (typeof value === 'bigint') return new Quantity(value * SCALE);
  const nanos = parseQuantity(asString(value));
  if (nanos === undefined)
    throw new CelError(`${JSON.stringify(value)} is not a quantity such as 250m or 1Gi`);
  return new Quantity(nanos);
}

export const quantityFunctions: Library = {
  quantity: handler(1, (_, [text]) => toQuantity(text)),
  isQuantity: handler(1, (_, [text]) => parseQuantity(asString(text)) !== undefined),
};

export const quantityMethods: Library = {
  sign: handler(0, (_, [q]) => {
    const { nanos } = toQuantity(q);
    return nanos > 0n ? 1n : nanos < 0n ? -1n : 0n;
  }),
  isInteger: handler(0, (_, [q]) => toQuantity(q).nanos % SCALE === 0n),
  asInteger: handler(0, (_, [q]) => {
    const { nanos } = toQuantity(q);
    if (nanos % SCALE !== 0n) throw new CelError('the quantity is not a whole number');
    return toInt(nanos / SCALE);
  }),
  asApproximateFloat: handler(0, (_, [q]) => Number(toQuantity(q).nanos) / 1e9),
  add: handler(1, (_, [a, b]) => new Quantity(toQuantity(a).nanos + toQuantity(b).nanos)),
  sub: handler(1, (_, [a, b]) => new Quantity(toQuantity(a).nanos - toQuantity(b).nanos)),
  isGreaterThan: handler(1, (_, [a, b]) => toQuantity(a).nanos > toQuantity(b).nanos),
  isLessThan: handler(1, (_, [a, b]) => toQuantity(a).nanos < toQuantity(b).nanos),
  compareTo: handler(1, (_, [a, b]) => {
    const x = toQuantity(a).nanos;
    const y = toQuantity(b).nanos;
    return x < y ? -1n : x > y ? 1n : 0n;
  }),
};

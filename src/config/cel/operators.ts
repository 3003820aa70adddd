import { type Run, spendFor } from './run.ts';
import {
  CelError,
  type CelValue,
  compare,
  Duration,
  equal,
  isList,
  isMap,
  Timestamp,
  typeName,
  Uint,
} from './value.ts';

const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;
const MAX_UINT = 2n ** 64n - 1n;

export function toInt(value: bigint): bigint {
  if (value < MIN_INT || value > MAX_INT) throw new CelError('integer overflow');
  return value;
}

export function toUint(value: bigint): Uint {
  if (value < 0n || value > MAX_UINT) throw new CelError('unsigned integer overflow');
  return new Uint(value);
}

function noOverload(operator: string, a: CelValue, b: CelValue): CelError {
  return new CelError(`no such overload: ${typeName(a)} ${operator} ${typeName(b)}`);
}

function add(run: Run, a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'bigint' && typeof b === 'bigint') return toInt(a + b);
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (typeof a === 'string' && typeof b === 'string') {
    spendFor(run, a);
    spendFor(run, b);
    return a + b;
  }
  if (isList(a) && isList(b)) {
    spendFor(run, a);
    spendFor(run, b);
    return [...a, ...b];
  }
  if (a instanceof Uint && b instanceof Uint) return toUint(a.value + b.value);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Uint8Array.from([...a, ...b]);
  if (a instanceof Duration && b instanceof Duration) return new Duration(toInt(a.nanos + b.nanos));
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos + b.nanos);
  if (a instanceof Duration && b instanceof Timestamp) return new Timestamp(a.nanos + b.nanos);
  throw noOverload('+', a, b);
}

function subtract(_: Run, a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'bigint' && typeof b === 'bigint') return toInt(a - b);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (a instanceof Uint && b instanceof Uint) return toUint(a.value - b.value);
  if (a instanceof Duration && b instanceof Duration) return new Duration(toInt(a.nanos - b.nanos));
  if (a instanceof Timestamp && b instanceof Timestamp) return new Duration(toInt(a.nanos - b.nanos));
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos - b.nanos);
  throw noOverload('-', a, b);
}

function multiply(_: Run, a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'bigint' && typeof b === 'bigint') return toInt(a * b);
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a instanceof Uint && b instanceof Uint) return toUint(a.value * b.value);
  throw noOverload('*', a, b);
}

function divide(_: Run, a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'number' && typeof b === 'number') return a / b;
  return integerDivision('/', a, b, (x, y) => x / y);
}

function modulo(_: Run, a: CelValue, b: CelValue): CelValue {
  return integerDivision('%', a, b, (x, y) => x % y);
}

function integerDivision(
  operator: string,
  a: CelValue,
  b: CelValue,
  apply: (x: bigint, y: bigint) => bigint,
): CelValue {
  const unsigned = a instanceof Uint && b instanceof Uint;
  const x = unsigned ? a.value : a;
  const y = unsigned ? b.value : b;
  if (typeof x !== 'bigint' || typeof y !== 'bigint') throw noOverload(operator, a, b);
  if (y === 0n) throw new CelError('division by zero');
  return unsigned ? toUint(apply(x, y)) : toInt(apply(x, y));
}

function contains(run: Run, a: CelValue, b: CelValue): CelValue {
  if (isList(b)) {
    spendFor(run, b);
    return b.some((item) => equal(a, item));
  }
  if (isMap(b)) return b.has(a);
  throw noOverload('in', a, b);
}

export const binaryOperators: Record<string, (run: Run, a: CelValue, b: CelValue) => CelValue> = {
  '==': (run, a, b) => {
    spendFor(run, a);
    return equal(a, b);
  },
  '!=': (run, a, b) => {
    spendFor(run, a);
    return !equal(a, b);
  },
  '<': (_, a, b) => compare(a, b) < 0,
  '<=': (_, a, b) => compare(a, b) <= 0,
  '>': (_, a, b) => compare(a, b) > 0,
  '>=': (_, a, b) => compare(a, b) >= 0,
  '+': add,
  '-': subtract,
  '*': multiply,
  '/': divide,
  '%': modulo,
  in: contains,
};

export function negate(value: CelValue): CelValue {
  if (typeof value === 'bigint') return toInt(-value);
  if (typeof value === 'number') return -value;
  throw new CelError(`no such overload: -${typeName(value)}`);
}

export function asBool(value: CelValue, where: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new CelError(`${where} needs true or false, but got ${typeName(value)}`);
}

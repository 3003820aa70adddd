import { compileRegex } from '../../schema/regex.ts';
import { toInt, toUint } from '../operators.ts';
import { spendFor } from '../run.ts';
import { formatDuration, formatTimestamp, parseDuration, parseTimestamp } from '../time.ts';
import {
  CelError,
  CelObject,
  type CelValue,
  Duration,
  isList,
  isMap,
  Optional,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
} from '../value.ts';
import { asString, handler, type Library } from './handler.ts';

function size(value: CelValue): bigint {
  if (typeof value === 'string') return BigInt([...value].length);
  if (isList(value) || value instanceof Uint8Array) return BigInt(value.length);
  if (isMap(value)) return BigInt(value.size);
  throw new CelError(`${typeName(value)} has no size`);
}

function noConversion(value: CelValue, to: string): CelError {
  return new CelError(`${typeName(value)} does not convert to ${to}`);
}

function int(value: CelValue): CelValue {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return toInt(BigInt(Math.trunc(value)));
  if (value instanceof Uint) return toInt(value.value);
  if (typeof value === 'string' && /^[+-]?\d+$/.test(value)) return toInt(BigInt(value.replace(/^\+/, '')));
  if (value instanceof Timestamp) return value.nanos / 1_000_000_000n;
  throw noConversion(value, 'int');
}

function uint(value: CelValue): CelValue {
  if (value instanceof Uint) return value;
  const whole = int(value);
  return toUint(whole as bigint);
}

function double(value: CelValue): CelValue {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint) return Number(value.value);
  if (typeof value === 'string' && value.trim() === value && value !== '' && !Number.isNaN(Number(value)))
    return Number(value);
  throw noConversion(value, 'double');
}

function string(value: CelValue): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean' || typeof value === 'number')
    return String(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Uint8Array) return new TextDecoder('utf-8', { fatal: true }).decode(value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (typeof value === 'object' && value !== null && 'opaque' in value) return String(value);
  throw noConversion(value, 'string');
}

function bool(value: CelValue): boolean {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string' && ['1', 't', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (typeof value === 'string' && ['0', 'f', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw noConversion(value, 'bool');
}

function duration(value: CelValue): Duration {
  if (value instanceof Duration) return value;
  const parsed = typeof value === 'string' ? parseDuration(value) : undefined;
  if (!parsed)
    throw new CelError(`${JSON.stringify(asString(value))} is not a duration such as 1.5s or 1h30m`);
  return parsed;
}

function timestamp(value: CelValue): Timestamp {
  if (value instanceof Timestamp) return value;
  if (typeof value === 'bigint') return new Timestamp(value * 1_000_000_000n);
  const parsed = typeof value === 'string' ? parseTimestamp(value) : undefined;
  if (!parsed) throw new CelError(`${JSON.stringify(asString(value))} is not an RFC 3339 time`);
  return parsed;
}

function convert(apply: (value: CelValue) => CelValue) {
  return handler(1, (_, [value = null]) => apply(value));
}

export const standardFunctions: Library = {
  size: convert(size),
  int: convert(int),
  uint: convert(uint),
  double: convert(double),
  string: convert(string),
  bool: convert(bool),
  bytes: convert((value) =>
    value instanceof Uint8Array ? value : new TextEncoder().encode(asString(value)),
  ),
  dyn: convert((value) => value),
  type: convert((value) => new TypeValue(value instanceof CelObject ? 'object' : typeName(value))),
  duration: convert(duration),
  timestamp: convert(timestamp),
  matches: handler(2, (run, [text, pattern]) => matches(run, asString(text), asString(pattern))),
};

function matches(run: Parameters<typeof spendFor>[0], text: string, pattern: string): boolean {
  spendFor(run, text);
  spendFor(run, pattern);
  const regex = compileRegex(pattern);
  if (!regex) throw new CelError(`${JSON.stringify(pattern)} is not an RE2 expression`);
  return regex.find(text);
}

function timeField(fromTime: (date: Date) => number, fromDuration?: (seconds: number) => number) {
  return handler([0, 1], (_, [value, zone]) => {
    if (value instanceof Duration && fromDuration)
      return BigInt(Math.trunc(fromDuration(Number(value.nanos) / 1e9)));
    if (!(value instanceof Timestamp)) throw new CelError(`${typeName(value ?? null)} has no such part`);
    return BigInt(fromTime(inZone(value, zone === undefined ? 'UTC' : asString(zone))));
  });
}

/** A Date whose UTC fields read as the local time of the zone: a name or an offset such as `-08:00`. */
function inZone(time: Timestamp, zone: string): Date {
  const date = new Date(Number(time.nanos / 1_000_000n));
  if (zone === 'UTC' || zone === '') return date;
  const offset = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (offset) {
    const minutes = (Number(offset[2]) * 60 + Number(offset[3])) * (offset[1] === '-' ? -1 : 1);
    return new Date(date.getTime() + minutes * 60_000);
  }
  try {
    const parts = new Intl.DateTimeFormat('sv-SE', {
      timeZone: zone,
      dateStyle: 'short',
      timeStyle: 'medium',
    });
    return new Date(`${parts.format(date).replace(' ', 'T')}Z`);
  } catch {
    throw new CelError(`unknown time zone ${JSON.stringify(zone)}`);
  }
}

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000);
}

function optionalOf(value: CelValue | undefined): Optional {
  if (value instanceof Optional) return value;
  throw new CelError(`no such overload for ${typeName(value ?? null)}, needs an optional`);
}

export const standardMethods: Library = {
  size: handler(0, (_, [value = null]) => size(value)),
  matches: handler(1, (run, [text, pattern]) => matches(run, asString(text), asString(pattern))),
  contains: handler(1, (run, [text, part]) => {
    spendFor(run, asString(text));
    return asString(text).includes(asString(part));
  }),
  startsWith: handler(1, (_, [text, part]) => asString(text).startsWith(asString(part))),
  endsWith: handler(1, (_, [text, part]) => asString(text).endsWith(asString(part))),
  getFullYear: timeField((date) => date.getUTCFullYear()),
  getMonth: timeField((date) => date.getUTCMonth()),
  getDate: timeField((date) => date.getUTCDate()),
  getDayOfMonth: timeField((date) => date.getUTCDate() - 1),
  getDayOfWeek: timeField((date) => date.getUTCDay()),
  getDayOfYear: timeField(dayOfYear),
  getHours: timeField(
    (date) => date.getUTCHours(),
    (seconds) => seconds / 3600,
  ),
  getMinutes: timeField(
    (date) => date.getUTCMinutes(),
    (seconds) => seconds / 60,
  ),
  getSeconds: timeField(
    (date) => date.getUTCSeconds(),
    (seconds) => seconds,
  ),
  getMilliseconds: timeField(
    (date) => date.getUTCMilliseconds(),
    (seconds) => seconds * 1000,
  ),
  hasValue: handler(0, (_, [value]) => optionalOf(value).value !== undefined),
  value: handler(0, (_, [value]) => {
    const { value: inner } = optionalOf(value);
    if (inner === undefined) throw new CelError('the optional has no value');
    return inner;
  }),
  or: handler(1, (_, [value, other]) =>
    optionalOf(value).value !== undefined ? optionalOf(value) : optionalOf(other),
  ),
  orValue: handler(1, (_, [value, other = null]) => optionalOf(value).value ?? other),
};

function isZero(value: CelValue): boolean {
  if (value === null || value === '' || value === false || value === 0 || value === 0n) return true;
  if (isList(value)) return value.length === 0;
  return isMap(value) && value.size === 0;
}

export const standardNamespaces: Library = {
  'optional.of': handler(1, (_, [value = null]) => new Optional(value)),
  'optional.none': handler(0, () => Optional.none),
  'optional.ofNonZeroValue': handler(1, (_, [value = null]) =>
    isZero(value) ? Optional.none : new Optional(value),
  ),
};

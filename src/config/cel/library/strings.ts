import { RE2JS } from 're2js';
import { type Run, spend, spendFor } from '../run.ts';
import { formatDuration, formatTimestamp } from '../time.ts';
import {
  CelError,
  type CelValue,
  Duration,
  isList,
  isMap,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
} from '../value.ts';
import { asInt, asList, asString, handler, type Library } from './handler.ts';

/** Text as code points: the library's positions count them. */
function points(run: Run, value: CelValue | undefined): string[] {
  const text = asString(value);
  spendFor(run, text);
  return [...text];
}

function checkedIndex(index: number, length: number): number {
  if (index < 0 || index > length) throw new CelError(`index out of range: ${index}`);
  return index;
}

function findFrom(chars: readonly string[], part: readonly string[], from: number): number {
  for (let i = from; i + part.length <= chars.length; i++)
    if (part.every((char, k) => chars[i + k] === char)) return i;
  return -1;
}

function indexOf(run: Run, [target, part, from]: readonly CelValue[]): CelValue {
  if (target !== undefined && isList(target)) throw new CelError('indexOf() on lists takes one argument');
  const chars = points(run, target);
  return BigInt(
    findFrom(chars, points(run, part), checkedIndex(from === undefined ? 0 : asInt(from), chars.length)),
  );
}

function lastIndexOf(run: Run, [target, part, from]: readonly CelValue[]): CelValue {
  const chars = points(run, target);
  const wanted = points(run, part);
  const start = from === undefined ? chars.length - wanted.length : checkedIndex(asInt(from), chars.length);
  for (let i = Math.min(start, chars.length - wanted.length); i >= 0; i--)
    if (wanted.every((char, k) => chars[i + k] === char)) return BigInt(i);
  return -1n;
}

function replace(run: Run, [target, from, to, limit]: readonly CelValue[]): string {
  const text = asString(target);
  const parts = text.split(asString(from));
  const max = limit === undefined ? -1 : asInt(limit);
  const count = max < 0 ? parts.length - 1 : Math.min(max, parts.length - 1);
  spend(run, 1 + (text.length + count * asString(to).length) / 10);
  if (count === parts.length - 1) return parts.join(asString(to));
  return [parts.slice(0, count + 1).join(asString(to)), ...parts.slice(count + 1)].join(asString(from));
}

function split(run: Run, [target, separator, limit]: readonly CelValue[]): CelValue {
  const text = asString(target);
  spendFor(run, text);
  const parts = separator === '' ? [...text] : text.split(asString(separator));
  const max = limit === undefined ? -1 : asInt(limit);
  if (max === 0) return [];
  if (max < 0 || parts.length <= max) return parts;
  return [...parts.slice(0, max - 1), parts.slice(max - 1).join(asString(separator))];
}

function substring(run: Run, [target, from, to]: readonly CelValue[]): string {
  const chars = points(run, target);
  const start = checkedIndex(asInt(from), chars.length);
  const end = to === undefined ? chars.length : checkedIndex(asInt(to), chars.length);
  if (start > end) throw new CelError(`invalid substring range: ${start}, ${end}`);
  return chars.slice(start, end).join('');
}

function mapAscii(
  run: Run,
  value: CelValue | undefined,
  expression: RegExp,
  apply: (text: string) => string,
) {
  spendFor(run, asString(value));
  return asString(value).replace(expression, apply);
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch {
    throw new CelError(`${JSON.stringify(pattern)} is not an RE2 expression`);
  }
}

function findAll(run: Run, text: string, pattern: string, limit: number): string[] {
  spend(run, 1 + text.length / 4);
  const matcher = compile(pattern).matcher(text);
  const found: string[] = [];
  while (limit !== found.length && matcher.find()) found.push(matcher.group() ?? '');
  return found;
}

/** `'%s is %d'.format([a, b])` with the verbs s, d, f, e, x, X, o, b. */
function format(run: Run, [template, values]: readonly CelValue[]): string {
  const args = asList(values);
  let next = 0;
  spendFor(run, asString(template));
  return asString(template).replace(
    /%(?:%|(?:\.(\d+))?([a-zA-Z]))/g,
    (all, precision?: string, verb?: string) => {
      if (verb === undefined) return '%';
      if (next >= args.length) throw new CelError(`format() has no value for ${all}`);
      return formatOne(args[next++] ?? null, verb, precision === undefined ? 6 : Number(precision));
    },
  );
}

function formatOne(value: CelValue, verb: string, precision: number): string {
  const number = value instanceof Uint ? value.value : value;
  switch (verb) {
    case 's':
      return show(value);
    case 'd':
      return String(number);
    case 'f':
      return Number(number).toFixed(precision);
    case 'e':
      return Number(number).toExponential(precision);
    case 'x':
    case 'X': {
      const hex = typeof number === 'bigint' ? number.toString(16) : hexOf(asString(value));
      return verb === 'X' ? hex.toUpperCase() : hex;
    }
    case 'o':
      return BigInt(number as bigint).toString(8);
    case 'b':
      return typeof number === 'boolean' ? (number ? '1' : '0') : BigInt(number as bigint).toString(2);
    default:
      throw new CelError(`format() knows no %${verb}`);
  }
}

function hexOf(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function show(value: CelValue): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (isList(value)) return `[${value.map(show).join(', ')}]`;
  if (isMap(value)) return `{${[...value].map(([key, item]) => `${show(key)}: ${show(item)}`).join(', ')}}`;
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Duration) return formatDuration(value);
  if (value instanceof Timestamp) return formatTimestamp(value);
  if (value instanceof TypeValue) return value.name;
  return typeName(value);
}

/** Kubernetes' string and regex extensions. */
export const stringMethods: Library = {
  charAt: handler(1, (run, [text, at]) => {
    const chars = points(run, text);
    return chars[checkedIndex(asInt(at), chars.length)] ?? '';
  }),
  join: handler([0, 1], (run, [list, separator]) => {
    spendFor(run, list ?? null);
    return asList(list)
      .map(asString)
      .join(separator === undefined ? '' : asString(separator));
  }),
  lowerAscii: handler(0, (run, [text]) => mapAscii(run, text, /[A-Z]+/g, (part) => part.toLowerCase())),
  upperAscii: handler(0, (run, [text]) => mapAscii(run, text, /[a-z]+/g, (part) => part.toUpperCase())),
  replace: handler([2, 3], replace),
  split: handler([1, 2], split),
  substring: handler([1, 2], substring),
  trim: handler(0, (_, [text]) => asString(text).trim()),
  reverse: handler(0, (run, [text]) => points(run, text).reverse().join('')),
  format: handler(1, format),
  find: handler(1, (run, [text, pattern]) => findAll(run, asString(text), asString(pattern), 1)[0] ?? ''),
  findAll: handler([1, 2], (run, [text, pattern, limit]) =>
    findAll(run, asString(text), asString(pattern), limit === undefined ? -1 : asInt(limit)),
  ),
};

export const stringIndexOf = indexOf;
export const stringLastIndexOf = lastIndexOf;

export const stringNamespaces: Library = {
  'strings.quote': handler(1, (_, [text]) => JSON.stringify(asString(text))),
};

import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { messageOf } from '../../kit/coded-error.ts';
import { isObject } from '../../kit/json.ts';
import { type FieldPath, rootPath } from '../field-path.ts';
import type { IssueCode } from '../report.ts';
import { quote } from '../report.ts';
import { envoyTypes, typeNameOf } from './envoy-types.ts';
import { scalarProblem } from './scalar-problem.ts';

export interface EnvoyValueIssue {
  readonly path: FieldPath;
  readonly code: IssueCode;
  readonly message: string;
}

export type ParsedEnvoyValue<D extends DescMessage> =
  | { readonly ok: true; readonly value: MessageShape<D> }
  | { readonly ok: false; readonly issues: readonly EnvoyValueIssue[] };

/** No message nests this deep; deeper ones are refused before they exhaust the stack. */
const maxDepth = 100;
/** Complaints about one value; what comes after is left out. */
const maxIssues = 20;

const typedStruct = 'xds.type.v3.TypedStruct';
/** The older name of the same message, which Envoy takes as well. */
const oldTypedStruct = 'udpa.type.v1.TypedStruct';

/** Messages whose JSON is not an object of their fields; the library reads them. */
const ownJson: ReadonlySet<string> = new Set([
  'google.protobuf.Duration',
  'google.protobuf.Timestamp',
  'google.protobuf.FieldMask',
  'google.protobuf.Struct',
  'google.protobuf.Value',
  'google.protobuf.ListValue',
  'google.protobuf.DoubleValue',
  'google.protobuf.FloatValue',
  'google.protobuf.Int64Value',
  'google.protobuf.UInt64Value',
  'google.protobuf.Int32Value',
  'google.protobuf.UInt32Value',
  'google.protobuf.BoolValue',
  'google.protobuf.StringValue',
  'google.protobuf.BytesValue',
]);

/**
 * Reads the JSON of one of Envoy's messages, as EnvoyFilters hold them (both spellings of names). What is wrong is told with its JSON
 * path. An `Any` of a type that we do not know travels as a TypedStruct, from which Envoy makes the message itself; a TypedStruct of a
 * type that we know becomes that message, so that it can be checked and merged.
 */
export function parseEnvoyValue<D extends DescMessage>(
  schema: D,
  json: unknown,
  path: FieldPath = rootPath,
): ParsedEnvoyValue<D> {
  const issues: EnvoyValueIssue[] = [];
  const plain = normalise({ issues, depth: 0 }, schema, json, path);
  if (issues.length > 0) return { ok: false, issues };
  try {
    return { ok: true, value: fromJson(schema, plain, { registry: envoyTypes }) };
  } catch (error) {
    return { ok: false, issues: [{ path, code: 'FieldValueInvalid', message: messageOf(error) }] };
  }
}

interface Walk {
  readonly issues: EnvoyValueIssue[];
  readonly depth: number;
}

function complain(walk: Walk, path: FieldPath, code: IssueCode, message: string): JsonValue {
  if (walk.issues.length < maxIssues) walk.issues.push({ path, code, message });
  return null;
}

function deeper(walk: Walk): Walk {
  return { issues: walk.issues, depth: walk.depth + 1 };
}

/** The value in the form that the library reads; what it would refuse goes to the issues. */
function normalise(walk: Walk, schema: DescMessage, json: unknown, path: FieldPath): JsonValue {
  if (walk.depth > maxDepth)
    return complain(walk, path, 'FieldValueInvalid', `nests deeper than ${maxDepth} levels`);
  if (schema.typeName === 'google.protobuf.Any') return normaliseAny(walk, json, path);
  if (ownJson.has(schema.typeName)) return normaliseOwn(walk, schema, json, path);
  if (!isObject(json))
    return complain(
      walk,
      path,
      'FieldValueTypeInvalid',
      `must be an object (${schema.typeName}), not ${quote(json, 40)}`,
    );
  const result: Record<string, JsonValue> = {};
  const seen = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    const field = schema.fields.find((candidate) => candidate.jsonName === key || candidate.name === key);
    const place = path.field(key);
    if (!field) {
      complain(walk, place, 'UnknownField', unknownField(schema, key));
      continue;
    }
    if (value === null || value === undefined) continue;
    const group = field.oneof?.name ?? field.name;
    const other = seen.get(group);
    if (other !== undefined) {
      complain(walk, place, 'FieldValueInvalid', `excludes ${other}: ${schema.typeName} takes one of them`);
      continue;
    }
    seen.set(group, key);
    result[field.jsonName] = normaliseField(deeper(walk), field, value, place);
  }
  return result;
}

function unknownField(schema: DescMessage, key: string): string {
  const wanted = squeeze(key);
  const close = schema.fields.find(
    ({ name }) => squeeze(name) === wanted || distanceIsOne(squeeze(name), wanted),
  );
  return `${schema.typeName} has no field ${key}${close ? `; did you mean ${close.name}?` : ''}`;
}

function squeeze(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

/** One letter more, less or other. */
function distanceIsOne(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const tails = [a.slice(start), b.slice(start)] as const;
  return (
    tails[0].slice(1) === tails[1].slice(1) ||
    tails[0] === tails[1].slice(1) ||
    tails[0].slice(1) === tails[1]
  );
}

function normaliseField(walk: Walk, field: DescField, value: unknown, path: FieldPath): JsonValue {
  if (field.fieldKind === 'list') {
    if (!Array.isArray(value))
      return complain(walk, path, 'FieldValueTypeInvalid', `must be a list, not ${quote(value, 40)}`);
    return value.map((item, index) => normaliseItem(walk, field, item, path.index(index)));
  }
  if (field.fieldKind === 'map') {
    if (!isObject(value))
      return complain(walk, path, 'FieldValueTypeInvalid', `must be a map, not ${quote(value, 40)}`);
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, normaliseItem(walk, field, item, path.field(key))]),
    );
  }
  return normaliseItem(walk, field, value, path);
}

function normaliseItem(walk: Walk, field: DescField, value: unknown, path: FieldPath): JsonValue {
  if (field.message) return normalise(walk, field.message, value, path);
  if (field.enum) {
    const known = field.enum.values.some(({ name, number }) => name === value || number === value);
    if (known || (typeof value === 'number' && Number.isInteger(value))) return value as JsonValue;
    const names = field.enum.values.map(({ name }) => name);
    return complain(
      walk,
      path,
      'FieldValueNotSupported',
      `${quote(value, 40)} is none of ${names.join(', ').slice(0, 300)}`,
    );
  }
  const problem = scalarProblem(field.scalar ?? ScalarType.STRING, value);
  return problem === undefined
    ? (value as JsonValue)
    : complain(walk, path, 'FieldValueTypeInvalid', problem);
}

function normaliseOwn(walk: Walk, schema: DescMessage, json: unknown, path: FieldPath): JsonValue {
  const written = schema.typeName === 'google.protobuf.Duration' ? plainDuration(json) : json;
  try {
    fromJson(schema, written as JsonValue);
    return written as JsonValue;
  } catch {
    const example = schema.typeName === 'google.protobuf.Duration' ? ' such as 1.5s' : '';
    return complain(
      walk,
      path,
      'FieldValueTypeInvalid',
      `${quote(json, 40)} is no ${schema.typeName}${example}`,
    );
  }
}

const nanosecondsOf: Readonly<Record<string, number>> = {
  ms: 1e6,
  us: 1e3,
  ns: 1,
  m: 6e10,
  h: 3.6e12,
  s: 1e9,
};

/** Protobuf knows seconds alone; Istio also takes what Go writes: `500ms`, `1m30s`. */
function plainDuration(json: unknown): unknown {
  if (typeof json !== 'string' || !/^(\d+(\.\d+)?(ms|us|ns|m|h|s))+$/.test(json) || json.length > 40)
    return json;
  let nanoseconds = 0;
  for (const [, amount = '', unit = ''] of json.matchAll(/(\d+(?:\.\d+)?)(ms|us|ns|m|h|s)/g))
    nanoseconds += Math.round(Number(amount) * (nanosecondsOf[unit] ?? 0));
  const seconds = Math.trunc(nanoseconds / 1e9);
  const rest = String(nanoseconds % 1e9)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${seconds}${rest === '' ? '' : `.${rest}`}s`;
}

function normaliseAny(walk: Walk, json: unknown, path: FieldPath): JsonValue {
  if (!isObject(json))
    return complain(
      walk,
      path,
      'FieldValueTypeInvalid',
      `must be an object with @type, not ${quote(json, 40)}`,
    );
  const { '@type': url, ...rest } = json;
  if (typeof url !== 'string' || url === '')
    return complain(
      walk,
      path.field('@type'),
      'FieldValueRequired',
      'says which message this is, such as type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
    );
  const name = typeNameOf(url);
  if (name === typedStruct || name === oldTypedStruct) return normaliseTypedStruct(walk, rest, path);
  if (/(^|\.)v2(alpha\d*)?\./.test(name) && name.startsWith('envoy.'))
    return complain(
      walk,
      path.field('@type'),
      'FieldValueNotSupported',
      `${name} is of version 2 of Envoy's API, which Envoy no longer takes: use the message of version 3`,
    );
  return typedAny(walk, name, rest, path);
}

/** `{@type: …TypedStruct, type_url, value}` */
function normaliseTypedStruct(
  walk: Walk,
  json: Readonly<Record<string, unknown>>,
  path: FieldPath,
): JsonValue {
  const url = json.type_url ?? json.typeUrl;
  const value = json.value ?? {};
  for (const key of Object.keys(json))
    if (!['type_url', 'typeUrl', 'value'].includes(key))
      complain(walk, path.field(key), 'UnknownField', `a TypedStruct has type_url and value, no ${key}`);
  if (typeof url !== 'string' || url === '')
    return complain(
      walk,
      path.field('type_url'),
      'FieldValueRequired',
      'says which message the value stands for',
    );
  if (!isObject(value))
    return complain(
      walk,
      path.field('value'),
      'FieldValueTypeInvalid',
      `must be an object, not ${quote(value, 40)}`,
    );
  return typedAny(walk, typeNameOf(url), value, path.field('value'));
}

function typedAny(
  walk: Walk,
  name: string,
  fields: Readonly<Record<string, unknown>>,
  path: FieldPath,
): JsonValue {
  const schema = envoyTypes.getMessage(name);
  const typeUrl = `type.googleapis.com/${name}`;
  if (!schema) return { '@type': `type.googleapis.com/${typedStruct}`, typeUrl, value: fields as JsonValue };
  if (ownJson.has(name))
    return { '@type': typeUrl, value: normaliseOwn(walk, schema, fields.value, path.field('value')) };
  const inner = normalise(deeper(walk), schema, fields, path);
  return isObject(inner) ? { '@type': typeUrl, ...inner } : null;
}

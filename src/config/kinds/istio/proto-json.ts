import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { isObject } from '../../../kit/json.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { durationNanos } from './durations.ts';

const FLOATS: readonly ScalarType[] = [ScalarType.DOUBLE, ScalarType.FLOAT];

/**
 * Checks that a JSON value fits a protobuf message: known fields (by JSON or original name) of the right types. Every mismatch is
 * reported with its path. Durations may be written as Go does (`1m30s`), which Istio accepts beyond protobuf's `90s`.
 */
export function checkProtoJson(report: Report, path: FieldPath, message: DescMessage, value: unknown): void {
  if (value === null) return;
  if (message.typeName.startsWith('google.protobuf.')) {
    checkWellKnown(report, path, message, value);
    return;
  }
  if (!isObject(value)) {
    wrongType(report, path, 'an object', value);
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    const place = path.field(name);
    const field = message.fields.find((one) => one.jsonName === name || one.name === name);
    if (!field) report.error(place, 'UnknownField', `${quote(name)} is no field of ${message.name}`);
    else if (inner !== null) checkField(report, place, field, inner);
  }
}

function wrongType(report: Report, path: FieldPath, wanted: string, value: unknown): void {
  report.error(path, 'FieldValueTypeInvalid', `must be ${wanted}, but is ${quote(value, 40)}`);
}

function checkField(report: Report, path: FieldPath, field: DescField, value: unknown): void {
  if (field.fieldKind === 'list') {
    if (!Array.isArray(value)) wrongType(report, path, 'a list', value);
    else for (const [i, item] of value.entries()) checkOne(report, path.index(i), field, item);
  } else if (field.fieldKind === 'map') {
    if (!isObject(value)) wrongType(report, path, 'an object', value);
    else for (const [key, item] of Object.entries(value)) checkOne(report, path.field(key), field, item);
  } else {
    checkOne(report, path, field, value);
  }
}

function checkOne(report: Report, path: FieldPath, field: DescField, value: unknown): void {
  if (field.message) checkProtoJson(report, path, field.message, value);
  else if (field.enum) checkEnum(report, path, field.enum, value);
  else if (field.scalar !== undefined) checkScalar(report, path, field.scalar, value);
}

function checkEnum(report: Report, path: FieldPath, desc: DescEnum, value: unknown): void {
  const known = desc.values.some((one) => one.name === value || one.number === value);
  if (known) return;
  const names = desc.values.map((one) => one.name).join(', ');
  report.error(path, 'FieldValueNotSupported', `${quote(value)} is not supported; use one of ${names}`);
}

function checkScalar(report: Report, path: FieldPath, type: ScalarType, value: unknown): void {
  if (type === ScalarType.BOOL) {
    if (typeof value !== 'boolean') wrongType(report, path, 'true or false', value);
  } else if (type === ScalarType.STRING || type === ScalarType.BYTES) {
    if (typeof value !== 'string') wrongType(report, path, 'a string', value);
  } else {
    // Numbers may be written as strings, as 64-bit ones must be.
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number !== 'number' || Number.isNaN(number)) wrongType(report, path, 'a number', value);
    else if (!FLOATS.includes(type) && !Number.isInteger(number))
      wrongType(report, path, 'an integer', value);
  }
}

function checkWellKnown(report: Report, path: FieldPath, message: DescMessage, value: unknown): void {
  switch (message.name) {
    case 'Duration':
      if (typeof value !== 'string' || durationNanos(value) === undefined)
        wrongType(report, path, 'a duration such as 10s', value);
      return;
    case 'Struct':
      if (!isObject(value)) wrongType(report, path, 'an object', value);
      return;
    default:
      // Wrappers (BoolValue, UInt32Value, …) stand for their one field.
      if (message.name.endsWith('Value') && message.fields.length === 1 && message.fields[0])
        checkOne(report, path, message.fields[0], value);
  }
}

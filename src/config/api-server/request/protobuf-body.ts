import { kinds, messages, type WireField } from '../../../../gen/kubernetes/messages.js';
import { isObject, type JsonObject, setKey } from '../../../kit/json.ts';
import { type ApiError, badRequest, unsupportedMediaType } from '../status.ts';
import { ProtobufReader } from './protobuf-reader.ts';

/*
 * kubectl's typed clients (create namespace, auth can-i, …) send Kubernetes' own kinds as protobuf and do not fall back to
 * JSON. The envelope is `k8s\0` and a runtime.Unknown; the fields of each kind are those of k8s.io/api's struct tags.
 * Answers are always JSON, which these clients take.
 */

export const protobufType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0');
const deepest = 64;
const empty: readonly WireField[] = [];
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The object that a protobuf body holds, as JSON data. Throws 400, or 415 for kinds that have no protobuf form here. */
export function parseProtobufBody(bytes: Buffer): JsonObject {
  if (!bytes.subarray(0, 4).equals(magic))
    throw badRequest('the body is not a Kubernetes protobuf object: it must start with k8s\\0');
  try {
    const { apiVersion, kind, raw } = readEnvelope(bytes.subarray(4));
    const message = kinds[kind === 'DeleteOptions' ? 'v1/DeleteOptions' : `${apiVersion}/${kind}`];
    if (message === undefined)
      throw unsupportedMediaType(`${protobufType} of ${apiVersion}/${kind}`, [
        'application/json',
        'application/yaml',
      ]);
    return { apiVersion, kind, ...readMessage(raw, message, 0) };
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw malformed(error);
    throw error;
  }
}

function malformed(error: Error): ApiError {
  return badRequest(`the body is not valid protobuf: ${error.message}`);
}

function readEnvelope(bytes: Uint8Array): { apiVersion: string; kind: string; raw: Uint8Array } {
  const result: { apiVersion: string; kind: string; raw: Uint8Array } = {
    apiVersion: '',
    kind: '',
    raw: new Uint8Array(),
  };
  for (const reader = new ProtobufReader(bytes); !reader.done; ) {
    const { field, wire } = reader.tag();
    if (field === 1 && wire === 2) {
      for (const inner = new ProtobufReader(reader.bytes()); !inner.done; ) {
        const { field: name, wire: innerWire } = inner.tag();
        if (name === 1 && innerWire === 2) result.apiVersion = utf8.decode(inner.bytes());
        else if (name === 2 && innerWire === 2) result.kind = utf8.decode(inner.bytes());
        else inner.skip(innerWire);
      }
    } else if (field === 2 && wire === 2) result.raw = reader.bytes();
    else reader.skip(wire);
  }
  return result;
}

const byNumber = new Map<string, Map<number, WireField>>();

function fieldsOf(message: string): Map<number, WireField> {
  let fields = byNumber.get(message);
  if (!fields) {
    fields = new Map((messages[message] ?? empty).map((field) => [field[0], field]));
    byNumber.set(message, fields);
  }
  return fields;
}

function readMessage(bytes: Uint8Array, message: string, depth: number): JsonObject {
  if (depth > deepest) throw new RangeError(`nested deeper than ${deepest} messages`);
  const fields = fieldsOf(message);
  const result: JsonObject = {};
  for (const reader = new ProtobufReader(bytes); !reader.done; ) {
    const { field, wire } = reader.tag();
    const known = fields.get(field);
    if (!known) {
      reader.skip(wire);
      continue;
    }
    const [, name, type, flags] = known;
    if (flags.includes('m')) readEntry(reader.bytes(), result, name, type, depth);
    else if (flags.includes('r')) {
      const list = Array.isArray(result[name]) ? (result[name] as unknown[]) : [];
      list.push(readValue(reader, wire, type, depth));
      result[name] = list;
    } else if (flags.includes('i')) Object.assign(result, readMessage(reader.bytes(), type, depth + 1));
    else {
      const value = readValue(reader, wire, type, depth);
      if (flags.includes('p') || !isZero(value)) setKey(result, name, value);
    }
  }
  return result;
}

/** Go writes fields that are not pointers even when nothing was set; JSON leaves these out. */
function isZero(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === false) return true;
  return isObject(value) && Object.keys(value).length === 0;
}

function readEntry(bytes: Uint8Array, result: JsonObject, name: string, type: string, depth: number): void {
  let key = '';
  let value: unknown = type === 's' || type === 'b' ? '' : undefined;
  for (const reader = new ProtobufReader(bytes); !reader.done; ) {
    const { field, wire } = reader.tag();
    if (field === 1) key = utf8.decode(reader.bytes());
    else if (field === 2) value = readValue(reader, wire, type, depth);
    else reader.skip(wire);
  }
  const map = isObject(result[name]) ? result[name] : {};
  setKey(map, key, value);
  result[name] = map;
}

function readValue(reader: ProtobufReader, wire: number, type: string, depth: number): unknown {
  switch (type) {
    case 's':
      return utf8.decode(reader.bytes());
    case 'o':
      return reader.integer() !== 0;
    case 'i':
      return reader.integer();
    case 'd':
      return wire === 1 ? reader.double() : reader.integer();
    case 'b':
      return Buffer.from(reader.bytes()).toString('base64');
    default:
      return readSpecial(reader.bytes(), type, depth);
  }
}

/** Types that Kubernetes writes in JSON otherwise than field by field. */
function readSpecial(bytes: Uint8Array, type: string, depth: number): unknown {
  switch (type) {
    case 'time':
    case 'microTime': {
      const { numbers } = readScalars(bytes);
      if (numbers.size === 0) return undefined;
      const time = new Date((numbers.get(1) ?? 0) * 1000 + (numbers.get(2) ?? 0) / 1e6).toISOString();
      return type === 'time' ? time.replace(/\.\d+Z$/, 'Z') : time.replace('Z', '000Z');
    }
    case 'duration':
      return `${(readScalars(bytes).numbers.get(1) ?? 0) / 1e9}s`;
    case 'quantity':
      return readScalars(bytes).texts.get(1)?.[0] ?? '0';
    case 'strings':
      return readScalars(bytes).texts.get(1) ?? [];
    case 'intOrString': {
      const { numbers, texts } = readScalars(bytes);
      return numbers.get(1) === 1 ? (texts.get(3)?.[0] ?? '') : (numbers.get(2) ?? 0);
    }
    case 'rawJson': {
      const text = readScalars(bytes).texts.get(1)?.[0];
      if (text === undefined) return undefined;
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new RangeError('an embedded object is not JSON');
      }
    }
    default:
      return readMessage(bytes, type, depth + 1);
  }
}

function readScalars(bytes: Uint8Array): { numbers: Map<number, number>; texts: Map<number, string[]> } {
  const numbers = new Map<number, number>();
  const texts = new Map<number, string[]>();
  for (const reader = new ProtobufReader(bytes); !reader.done; ) {
    const { field, wire } = reader.tag();
    if (wire === 0) numbers.set(field, reader.integer());
    else if (wire === 2) texts.set(field, [...(texts.get(field) ?? []), utf8.decode(reader.bytes())]);
    else reader.skip(wire);
  }
  return { numbers, texts };
}

import { isObject, type JsonObject } from '../../../kit/json.ts';
import { ProtobufWriter } from './protobuf-writer.ts';

/*
 * OpenAPI 2 documents in the protobuf form that kubectl asks for (package openapi.v2 of google/gnostic; the field numbers are
 * those of its OpenAPIv2.proto). kubectl cannot read the JSON form.
 */

const documents = new WeakMap<object, Buffer>();

export function encodeOpenApiV2(document: JsonObject): Buffer {
  let bytes = documents.get(document);
  if (!bytes) {
    bytes = writeDocument(document);
    documents.set(document, bytes);
  }
  return bytes;
}

function writeDocument(document: JsonObject): Buffer {
  const writer = new ProtobufWriter().text(1, document.swagger);
  writer.message(2, (info) => {
    if (isObject(document.info)) info.text(1, document.info.title).text(2, document.info.version);
  });
  writer.message(8, (paths) => {
    for (const [path, item] of entries(document.paths))
      named(paths, 2, path, (value) => pathItem(value, item));
  });
  writer.message(9, (definitions) => {
    for (const [name, one] of entries(document.definitions))
      named(definitions, 1, name, (value) => schema(value, one));
  });
  return writer.finish();
}

function entries(value: unknown): [string, JsonObject][] {
  return isObject(value)
    ? (Object.entries(value).filter(([, one]) => isObject(one)) as [string, JsonObject][])
    : [];
}

/** `NamedX { name = 1, value = 2 }`. */
function named(
  writer: ProtobufWriter,
  field: number,
  name: string,
  write: (value: ProtobufWriter) => void,
): void {
  writer.message(field, (entry) => entry.text(1, name).message(2, write));
}

/** `Any { yaml = 2 }`; JSON is YAML. */
function anyValue(writer: ProtobufWriter, field: number, value: unknown): void {
  if (value !== undefined) writer.message(field, (any) => any.text(2, JSON.stringify(value)));
}

function extensions(writer: ProtobufWriter, field: number, source: JsonObject): void {
  for (const [name, value] of Object.entries(source)) {
    if (!name.startsWith('x-') || value === undefined) continue;
    writer.message(field, (entry) => {
      entry.text(1, name);
      anyValue(entry, 2, value);
    });
  }
}

const methodFields: Record<string, number> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItem(writer: ProtobufWriter, item: JsonObject): void {
  for (const [method, field] of Object.entries(methodFields)) {
    const one = item[method];
    if (isObject(one)) writer.message(field, (value) => operation(value, one));
  }
  parameters(writer, 9, item.parameters);
}

function operation(writer: ProtobufWriter, one: JsonObject): void {
  writer.text(5, one.operationId).texts(6, one.produces).texts(7, one.consumes);
  parameters(writer, 8, one.parameters);
  writer.message(9, (responses) => {
    for (const [code, response] of entries(one.responses)) {
      named(responses, 1, code, (value) =>
        value.message(1, (target) => {
          target.text(1, response.description);
          const body = response.schema;
          if (isObject(body)) target.message(2, (item) => item.message(1, (inner) => schema(inner, body)));
        }),
      );
    }
  });
  writer.texts(10, one.schemes);
  extensions(writer, 13, one);
}

function parameters(writer: ProtobufWriter, field: number, list: unknown): void {
  if (!Array.isArray(list)) return;
  for (const one of list) {
    if (!isObject(one)) continue;
    // ParametersItem { parameter = 1 { body_parameter = 1 | non_body_parameter = 2 } }
    writer.message(field, (item) =>
      item.message(1, (parameter) => {
        if (one.in === 'body') parameter.message(1, (body) => bodyParameter(body, one));
        else
          parameter.message(2, (other) =>
            other.message(one.in === 'path' ? 4 : 3, (value) => plainParameter(value, one)),
          );
      }),
    );
  }
}

function bodyParameter(writer: ProtobufWriter, one: JsonObject): void {
  writer.text(1, one.description).text(2, one.name).text(3, one.in).flag(4, one.required);
  const body = one.schema;
  if (isObject(body)) writer.message(5, (value) => schema(value, body));
}

/** Query parameters have one field more than path parameters, `allow_empty_value` at 5. */
function plainParameter(writer: ProtobufWriter, one: JsonObject): void {
  const shift = one.in === 'path' ? 0 : 1;
  writer.flag(1, one.required).text(2, one.in).text(3, one.description).text(4, one.name);
  writer.text(5 + shift, one.type).text(6 + shift, one.format);
  writer.flag(19 + shift, one.uniqueItems);
}

function schema(writer: ProtobufWriter, one: JsonObject): void {
  writer.text(1, one.$ref).text(2, one.format).text(3, one.title).text(4, one.description);
  anyValue(writer, 5, one.default);
  writer.double(6, one.multipleOf).double(7, one.maximum).flag(8, one.exclusiveMaximum);
  writer.double(9, one.minimum).flag(10, one.exclusiveMinimum);
  writer.integer(11, one.maxLength).integer(12, one.minLength).text(13, one.pattern);
  writer.integer(14, one.maxItems).integer(15, one.minItems).flag(16, one.uniqueItems);
  writer.integer(17, one.maxProperties).integer(18, one.minProperties).texts(19, one.required);
  if (Array.isArray(one.enum)) for (const value of one.enum) anyValue(writer, 20, value);
  const { additionalProperties, type, items, properties } = one;
  if (isObject(additionalProperties)) {
    writer.message(21, (item) => item.message(1, (value) => schema(value, additionalProperties)));
  }
  if (typeof type === 'string') writer.message(22, (item) => item.text(1, type));
  if (isObject(items)) writer.message(23, (item) => item.message(1, (value) => schema(value, items)));
  if (isObject(properties)) {
    writer.message(25, (all) => {
      for (const [name, property] of entries(properties))
        named(all, 1, name, (value) => schema(value, property));
    });
  }
  extensions(writer, 31, one);
}

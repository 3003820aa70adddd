import { isObject, type JsonObject } from '../../../kit/json.ts';
import type { KindRegistry } from '../../kind.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { hashText } from '../discovery/hash.ts';
import { kindsFingerprint } from '../discovery/resources.ts';
import { type Operation, operationsOf, queryType } from './paths.ts';
import { commonSchemas, kindSchemas, metaGroup, reference } from './schemas.ts';

const prefix = '#/definitions/';

export interface OpenApiV2 {
  document(): { value: JsonObject; text: string; hash: string };
}

/** Swagger 2.0 of everything that is served, made when first asked for and again when the kinds change. */
export function createOpenApiV2(kinds: KindRegistry, release: string): OpenApiV2 {
  let fingerprint = '';
  let made: { value: JsonObject; text: string; hash: string } | undefined;
  return {
    document: () => {
      const now = kindsFingerprint(kinds);
      if (!made || now !== fingerprint) {
        const value = buildDocument(kinds, release);
        const text = JSON.stringify(value);
        made = { value, text, hash: hashText(text) };
        fingerprint = now;
      }
      return made;
    },
  };
}

function buildDocument(kinds: KindRegistry, release: string): JsonObject {
  const definitions: JsonObject = {};
  for (const [name, schema] of Object.entries(commonSchemas())) definitions[name] = toV2(schema);
  const paths: Record<string, JsonObject> = {};
  for (const kind of kinds.all()) {
    for (const version of kind.versions) {
      if (!version.served) continue;
      for (const [name, schema] of Object.entries(kindSchemas(kind, version, prefix)))
        definitions[name] = toV2(schema);
      for (const operation of operationsOf(kind, version)) {
        const item = paths[operation.path] ?? {
          parameters: operation.pathParameters.map((name) => ({
            name,
            in: 'path',
            required: true,
            type: 'string',
            uniqueItems: true,
          })),
        };
        item[operation.method] = writeOperation(operation);
        paths[operation.path] = item;
      }
    }
  }
  return { swagger: '2.0', info: { title: 'Ostria', version: release }, paths, definitions };
}

/**
 * OpenAPI 2 has no nullable, oneOf, anyOf or not. A nullable or int-or-string value loses its type, as Kubernetes publishes
 * it, so that clients which check against it refuse nothing that the server takes.
 */
export function toV2(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toV2);
  if (!isObject(schema)) return schema;
  const node = schema as SchemaNode & JsonObject;
  const { oneOf: _oneOf, anyOf: _anyOf, allOf: _allOf, not: _not, nullable, ...rest } = node;
  const result: JsonObject = { ...rest };
  if (isObject(rest.properties)) {
    result.properties = Object.fromEntries(
      Object.entries(rest.properties).map(([name, one]) => [name, toV2(one)]),
    );
  }
  if (rest.items !== undefined) result.items = toV2(rest.items);
  if (isObject(rest.additionalProperties)) result.additionalProperties = toV2(rest.additionalProperties);
  if (typeof rest.additionalProperties === 'boolean') delete result.additionalProperties;
  if (rest['x-kubernetes-int-or-string'] === true || nullable === true) delete result.type;
  if (rest['x-kubernetes-preserve-unknown-fields'] === true && rest.properties === undefined)
    delete result.type;
  return result;
}

function writeOperation(operation: Operation): JsonObject {
  const query = operation.query.map((name) => ({ name, in: 'query', uniqueItems: true, ...queryType(name) }));
  const { body } = operation;
  return {
    operationId: operation.id,
    ...(body ? { consumes: body.types } : { consumes: ['*/*'] }),
    produces: ['application/json', 'application/yaml'],
    schemes: ['https'],
    parameters: body
      ? [
          {
            name: 'body',
            in: 'body',
            required: operation.method !== 'delete',
            schema: reference(prefix, body.schema),
          },
          ...query,
        ]
      : query,
    responses: { '200': { description: 'OK', schema: reference(prefix, operation.response) } },
    'x-kubernetes-action': operation.action,
    [metaGroup]: { group: operation.group, kind: operation.kind, version: operation.version },
  };
}

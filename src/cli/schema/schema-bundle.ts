import type { Kind } from '../../config/kind.ts';
import { type JsonSchema, toJsonSchema } from '../../config/schema/json-schema.ts';
import { rootProperties } from '../../config/schema/metadata-schema.ts';
import type { SchemaNode } from '../../config/schema/schema-node.ts';

const draft = 'http://json-schema.org/draft-07/schema#';

/** The JSON schema of one version of a kind: a whole object, `apiVersion` and `kind` included. */
export function kindSchema(kind: Kind, version: Kind['versions'][number]): JsonSchema {
  const schema = version.schema as SchemaNode;
  const apiVersion = apiVersionOf(kind, version.name);
  const whole: SchemaNode = {
    ...schema,
    type: 'object',
    properties: { ...rootProperties, ...schema.properties },
    required: [...new Set(['apiVersion', 'kind', 'metadata', ...(schema.required ?? [])])],
  };
  const result = toJsonSchema(whole) as { properties: Record<string, JsonSchema> };
  const properties = {
    ...result.properties,
    apiVersion: { ...result.properties.apiVersion, const: apiVersion },
    kind: { ...result.properties.kind, const: kind.kind },
  };
  return { $schema: draft, title: `${kind.kind} ${apiVersion}`, ...result, properties };
}

function apiVersionOf({ group }: Kind, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The place of a kind's schema in the layout that catalogues of CRD schemas share: `group/kind_version.json`. */
export function schemaPath(kind: Kind, version: string): string {
  return `${kind.group || 'core'}/${kind.kind.toLowerCase()}_${version}.json`;
}

/**
 * One schema for any file of configuration: what an object says of itself chooses the schema that judges it, and objects of other kinds
 * are let through.
 */
export function anyObjectSchema(kinds: readonly Kind[]): JsonSchema {
  const choices = kinds.flatMap((kind) =>
    kind.versions
      .filter(({ served }) => served)
      .map((version) => ({ name: schemaPath(kind, version.name), kind, version })),
  );
  return {
    $schema: draft,
    title: 'Objects of a mesh',
    type: 'object',
    definitions: Object.fromEntries(
      choices.map(({ name, kind, version }) => {
        const { $schema: _, ...schema } = kindSchema(kind, version);
        return [name, schema];
      }),
    ),
    required: ['apiVersion', 'kind'],
    properties: { apiVersion: { type: 'string' }, kind: { type: 'string' } },
    allOf: choices.map(({ name, kind, version }) => ({
      if: {
        required: ['apiVersion', 'kind'],
        properties: {
          apiVersion: { const: apiVersionOf(kind, version.name) },
          kind: { const: kind.kind },
        },
      },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema.
      then: { $ref: `#/definitions/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` },
    })),
  };
}

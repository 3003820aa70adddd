import type { Kind, KindRegistry } from '../config/kind.ts';
import { rootProperties } from '../config/schema/metadata-schema.ts';
import type { SchemaNode } from '../config/schema/schema-node.ts';
import type { Step } from './yaml-cursor.ts';

/** The kind that a document says it is; undefined where it is not known (yet). */
export function kindOf(kinds: KindRegistry, apiVersion: string, kind: string): Kind | undefined {
  const slash = apiVersion.indexOf('/');
  if (apiVersion !== '') return kinds.byKind(slash < 0 ? '' : apiVersion.slice(0, slash), kind);
  return kinds.all().find((one) => one.kind === kind);
}

/** The schema of an object of a kind, with what every object has. */
export function rootSchema(kind: Kind, apiVersion: string): SchemaNode {
  const name = apiVersion.slice(apiVersion.indexOf('/') + 1);
  const version =
    kind.versions.find((one) => one.name === name) ?? kind.versions.find(({ storage }) => storage);
  const schema = (version?.schema ?? {}) as SchemaNode;
  return { ...schema, properties: { ...rootProperties, ...withoutStatus(schema.properties) } };
}

/** Nobody writes a status. */
function withoutStatus(properties: SchemaNode['properties']): SchemaNode['properties'] {
  const { status: _, ...rest } = properties ?? {};
  return rest;
}

/** The schema of a place in an object; undefined where it does not say. */
export function schemaAt(root: SchemaNode, path: readonly Step[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const step of path) {
    if (!node) return undefined;
    if (typeof step === 'number') node = node.items;
    else
      node =
        node.properties?.[step] ??
        (typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined);
  }
  return node;
}

/** What a field takes, for people: `text`, `list of objects`, `one of A, B`. */
export function typeText(schema: SchemaNode): string {
  if (schema.enum) return `one of ${schema.enum.map(String).join(', ')}`;
  if (schema['x-kubernetes-int-or-string']) return 'number or text';
  switch (schema.type) {
    case 'array':
      return schema.items ? `list of ${plural(typeText(schema.items))}` : 'list';
    case 'object':
      return typeof schema.additionalProperties === 'object' ? 'map' : 'object';
    case 'string':
      return schema.format === 'date-time' ? 'time' : 'text';
    case 'boolean':
      return 'true or false';
    default:
      return schema.type ?? 'anything';
  }
}

function plural(text: string): string {
  return /^(text|object|number|list|map|integer)$/.test(text) ? `${text}s` : text;
}

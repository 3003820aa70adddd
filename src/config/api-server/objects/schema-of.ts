import type { KindVersion, StructuralSchema } from '../../kind.ts';
import { rootProperties } from '../../schema/metadata-schema.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';

const schemas = new WeakMap<StructuralSchema, SchemaNode>();

/** The schema of whole objects: the version's own, with `apiVersion`, `kind` and `metadata` as every object has them. */
export function objectSchema(version: KindVersion): SchemaNode {
  let schema = schemas.get(version.schema);
  if (!schema) {
    const own = version.schema as SchemaNode;
    schema = { ...own, properties: { ...own.properties, ...rootProperties } };
    schemas.set(version.schema, schema);
  }
  return schema;
}

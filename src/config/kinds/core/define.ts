import type { Kind, PrinterColumn } from '../../kind.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';

export interface BuiltinKind {
  group?: string;
  version?: string;
  /** Further served versions with the same schema. */
  alsoVersions?: string[];
  kind: string;
  plural?: string;
  shortNames?: string[];
  categories?: string[];
  clusterScoped?: boolean;
  /** Fields beside apiVersion, kind and metadata. */
  fields: Record<string, SchemaNode>;
  required?: string[];
  statusSubresource?: boolean;
  columns?: (readonly [name: string, jsonPath: string, type?: string, priority?: number])[];
  behaviour?: Kind['behaviour'];
  validate?: Kind['validate'];
}

const age = ['Age', '.metadata.creationTimestamp', 'date'] as const;

/** A kind that Kubernetes builds in. Stored, not run, unless said otherwise. */
export function builtin(definition: BuiltinKind): Kind {
  const { kind, group = '', version = 'v1', fields } = definition;
  const singular = kind.toLowerCase();
  const schema = {
    type: 'object',
    properties: fields,
    ...(definition.required && { required: definition.required }),
  };
  const printerColumns = [...(definition.columns ?? []), age].map(
    ([name, jsonPath, type = 'string', priority = 0]): PrinterColumn => ({ name, jsonPath, type, priority }),
  );
  return {
    group,
    kind,
    plural: definition.plural ?? `${singular}s`,
    singular,
    shortNames: definition.shortNames ?? [],
    categories: definition.categories ?? [],
    namespaced: definition.clusterScoped !== true,
    versions: [version, ...(definition.alsoVersions ?? [])].map((name, i) => ({
      name,
      served: true,
      storage: i === 0,
      schema,
      printerColumns,
      statusSubresource: definition.statusSubresource ?? 'status' in fields,
    })),
    behaviour: definition.behaviour ?? 'stored',
    ...(definition.validate && { validate: definition.validate }),
  };
}

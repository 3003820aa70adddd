import type { ConfigObject } from './object.ts';

/** A JSON schema as Kubernetes CRDs carry it (structural, with `x-kubernetes-*` extensions). */
export type StructuralSchema = { readonly [key: string]: unknown };

export interface PrinterColumn {
  name: string;
  type: string;
  jsonPath: string;
  format?: string;
  priority?: number;
  description?: string;
}

export interface KindVersion {
  /** `v1`, `v1beta1`, … */
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  schema: StructuralSchema;
  printerColumns: readonly PrinterColumn[];
  /** A `status` subresource exists: writes to the main resource ignore `status`, and the other way round. */
  statusSubresource: boolean;
}

/** One complaint about an object. `path` is a JSON path from the object's root: `spec.http[0].route[1].weight`. */
export interface Issue {
  path: string;
  severity: 'error' | 'warning';
  /** Stable code: `FieldValueInvalid`, `FieldValueRequired`, `FieldValueNotSupported`, `FieldValueForbidden`, `FieldValueTypeInvalid`, `FieldValueDuplicate`, `UnknownField`, … */
  code: string;
  /** What is wrong and how to mend it. */
  message: string;
}

export interface Kind {
  /** API group; '' is the core group. */
  group: string;
  kind: string;
  plural: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  namespaced: boolean;
  versions: readonly KindVersion[];
  /** Rules of this kind beyond its schema. Pure; collects every issue, never throws. */
  validate?: (object: ConfigObject) => Issue[];
  /** True where the mesh acts on this kind; false: stored, listed, watched, and its status says that nothing acts on it. */
  behaviour: 'built' | 'stored' | 'planned';
}

/** `plural.group`, or just `plural` in the core group: the name under which the store and the API keep a kind. */
export function resourceName(kind: Pick<Kind, 'group' | 'plural'>): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

/** Looks kinds up. Mutable through `define`/`remove` only: users may bring their own CRDs at run time. */
export interface KindRegistry {
  byResource(
    group: string,
    version: string,
    plural: string,
  ): { kind: Kind; version: KindVersion } | undefined;
  byKind(group: string, kind: string): Kind | undefined;
  all(): readonly Kind[];
  define(kind: Kind): void;
  remove(group: string, plural: string): void;
}

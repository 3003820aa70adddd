import type { FieldPath } from '../field-path.ts';
import { quote } from '../report.ts';
import type { Check, Sink } from './check-value.ts';
import type { SchemaNode } from './schema-node.ts';

/** Uniqueness of list items: whole items (`set`) or the values of their keys (`map`). */
export function checkListType(schema: SchemaNode): Check {
  const keys = schema['x-kubernetes-list-type'] === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : [];
  return (value, path, sink) => {
    if (!Array.isArray(value)) return;
    if (keys.length > 0) checkMap(value, keys, schema.items, path, sink);
    else checkSet(value, path, sink);
  };
}

function checkSet(items: readonly unknown[], path: FieldPath, sink: Sink): void {
  const seen = new Set<string>();
  for (const [i, item] of items.entries()) {
    const id = canonical(item);
    if (seen.has(id))
      sink.add(path.index(i), 'FieldValueDuplicate', `${quote(item)} is in the list twice; remove one`);
    seen.add(id);
  }
}

function checkMap(
  items: readonly unknown[],
  keys: readonly string[],
  schema: SchemaNode | undefined,
  path: FieldPath,
  sink: Sink,
): void {
  const seen = new Set<string>();
  for (const [i, item] of items.entries()) {
    if (typeof item !== 'object' || item === null) continue;
    const values = keys.map(
      (key) => (item as Record<string, unknown>)[key] ?? schema?.properties?.[key]?.default,
    );
    const id = canonical(values);
    if (seen.has(id)) {
      const text = keys.map((key, k) => `${key} ${quote(values[k])}`).join(', ');
      sink.add(path.index(i), 'FieldValueDuplicate', `another item has the same ${text}`);
    }
    seen.add(id);
  }
}

/** JSON with sorted keys: equal values give equal text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

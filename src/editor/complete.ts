import type { SourceObject } from '../analyze/analyzer.ts';
import type { Kind, KindRegistry } from '../config/kind.ts';
import type { SchemaNode } from '../config/schema/schema-node.ts';
import { candidates, referenceAt } from './references.ts';
import { kindOf, rootSchema, schemaAt, typeText } from './schema-at.ts';
import { type Cursor, cursorAt, rootField, siblingValue } from './yaml-cursor.ts';

/** One thing that can be written at a place. */
export interface Completion {
  readonly label: string;
  /** What is inserted; `$0` is where the cursor goes (snippet syntax). */
  readonly insert: string;
  readonly detail: string;
  readonly documentation?: string;
  readonly sort: 'field' | 'value' | 'reference';
  /** Required, and not there yet: first in the list. */
  readonly wanted?: boolean;
}

export interface EditorContext {
  readonly kinds: KindRegistry;
  /** Every object that the editor knows. */
  readonly sources: readonly SourceObject[];
}

export interface Completions {
  readonly items: readonly Completion[];
  /** Columns that an item replaces. */
  readonly from: number;
  readonly to: number;
}

/** What can be written at a place: fields that the schema knows, their values, and names of what is in the mesh. */
export function completeAt(
  text: string,
  line: number,
  character: number,
  context: EditorContext,
): Completions | undefined {
  const lines = text.split(/\r?\n/);
  const cursor = cursorAt(lines, line, character);
  if (!cursor) return undefined;
  const { from, to } = cursor;
  const answer = (items: readonly Completion[]): Completions => ({ items, from, to });
  if (cursor.at === 'value' && cursor.path.length === 1) {
    const known = rootValues(cursor, lines, context.kinds);
    if (known) return answer(known);
  }
  const apiVersion = rootField(lines, cursor.document, 'apiVersion');
  const kind = kindOf(context.kinds, apiVersion, rootField(lines, cursor.document, 'kind'));
  if (!kind) return cursor.path.length === 0 ? answer(typeFields(cursor)) : undefined;
  const root = rootSchema(kind, apiVersion);
  const values = () => valuesAt(cursor, lines, line, kind, root, context);
  if (cursor.at === 'value') return answer(values());
  // An item of a list of texts looks like the beginning of a field.
  const schema = schemaAt(root, cursor.path);
  if (!cursor.isNamed && typeof cursor.path.at(-1) === 'number' && schema?.type !== 'object')
    return answer(values());
  return answer(schema ? fieldsOf(schema, cursor) : []);
}

/** The same in a file that has one schema, whatever stands in it. */
export function completeFieldsAt(
  text: string,
  line: number,
  character: number,
  root: SchemaNode,
): Completions | undefined {
  const cursor = cursorAt(text.split(/\r?\n/), line, character);
  const schema = cursor && schemaAt(root, cursor.path);
  if (!cursor || !schema) return undefined;
  const items = cursor.at === 'key' ? fieldsOf(schema, cursor) : choicesOf(schema);
  return { items, from: cursor.from, to: cursor.to };
}

function typeFields(cursor: Cursor): Completion[] {
  return ['apiVersion', 'kind', 'metadata', 'spec']
    .filter((name) => !cursor.siblings.has(name))
    .map((name) => ({
      label: name,
      insert: name === 'metadata' ? 'metadata:\n  name: $0' : name === 'spec' ? 'spec:\n  $0' : `${name}: $0`,
      detail: 'field',
      sort: 'field',
    }));
}

/** `kind` and `apiVersion`, each fitting what the other says already. */
function rootValues(
  cursor: Cursor,
  lines: readonly string[],
  registry: KindRegistry,
): readonly Completion[] | undefined {
  const [field] = cursor.path;
  const byWriter = registry.all().filter(({ behaviour }) => behaviour !== 'stored');
  if (field === 'kind') {
    const apiVersion = rootField(lines, cursor.document, 'apiVersion');
    return byWriter
      .filter((kind) => apiVersion === '' || versionsOf(kind).includes(apiVersion))
      .map((kind) => value(kind.kind, kind.group || 'core'));
  }
  if (field === 'apiVersion') {
    const name = rootField(lines, cursor.document, 'kind');
    const fitting = byWriter.filter(({ kind }) => name === '' || kind === name);
    return [...new Set(fitting.flatMap(versionsOf))].sort().map((text) => value(text, 'apiVersion'));
  }
  return undefined;
}

function versionsOf({ group, versions }: Kind): string[] {
  return versions
    .filter(({ served }) => served)
    .map(({ name }) => (group === '' ? name : `${group}/${name}`));
}

function value(text: string, detail: string): Completion {
  return { label: text, insert: text, detail, sort: 'value' };
}

function fieldsOf(schema: SchemaNode, cursor: Cursor): Completion[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => !cursor.siblings.has(name))
    .map(([name, field]) => ({
      label: name,
      insert: cursor.isNamed ? name : snippet(name, field),
      detail: typeText(field),
      ...(field.description ? { documentation: field.description } : {}),
      sort: 'field',
      ...(required.has(name) ? { wanted: true } : {}),
    }));
}

/** Indentation of what follows is the editor's: it is relative to the line. */
function snippet(name: string, { type }: SchemaNode): string {
  if (type === 'object') return `${name}:\n  $0`;
  if (type === 'array') return `${name}:\n  - $0`;
  return `${name}: $0`;
}

function valuesAt(
  cursor: Cursor,
  lines: readonly string[],
  line: number,
  kind: Kind,
  root: SchemaNode,
  { sources }: EditorContext,
): Completion[] {
  const reference = referenceAt(`${kind.kind}.${kind.group}`, cursor.path);
  if (reference) {
    const namespace = metadataOf(lines, cursor).namespace;
    const host = reference === 'subset' ? siblingValue(lines, line, cursor, 'host') : '';
    return candidates(reference, sources, namespace, host).map(({ text, detail }) => ({
      label: text,
      insert: text,
      detail,
      sort: 'reference',
    }));
  }
  const schema = schemaAt(root, cursor.path);
  return schema ? choicesOf(schema) : [];
}

function choicesOf(schema: SchemaNode): Completion[] {
  if (schema.enum) return schema.enum.map((one) => value(String(one), 'value'));
  if (schema.type === 'boolean') return ['true', 'false'].map((one) => value(one, 'value'));
  return schema.default === undefined ? [] : [value(String(schema.default), 'default')];
}

/** Name and namespace of the object that a cursor is in, in block or flow style. */
export function metadataOf(
  lines: readonly string[],
  { document }: Cursor,
): { readonly name: string; readonly namespace: string } {
  let inMetadata = false;
  const found = { name: '', namespace: '' };
  for (let at = document.start; at < document.end; at++) {
    const text = lines[at] ?? '';
    if (/^\S/.test(text)) inMetadata = /^metadata:/.test(text);
    if (!inMetadata) continue;
    for (const field of ['name', 'namespace'] as const) {
      const match = new RegExp(`(?:^\\s+|[{,]\\s*)${field}:\\s*["']?([^\\s"'#,}]+)`).exec(text);
      if (match?.[1] && found[field] === '') found[field] = match[1];
    }
  }
  return { name: found.name, namespace: found.namespace || 'default' };
}

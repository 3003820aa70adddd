import { isObject } from '../../kit/json.ts';
import type { FieldPath } from '../field-path.ts';
import { rootPath } from '../field-path.ts';
import type { Issue, StructuralSchema } from '../kind.ts';
import { type Check, ownChecks, type Sink } from './check-value.ts';
import { rootProperties } from './metadata-schema.ts';
import type { SchemaNode } from './schema-node.ts';
import { type CompiledRule, compileRules, createRuleRun } from './schema-rules.ts';

/** Complaints kept per object. */
const MAX_ISSUES = 100;

/** A schema made ready: prune, then default, then validate. Values are never changed in place. */
export interface CompiledSchema {
  /** Drops fields that the schema does not know. `unknown` holds the path of each. */
  prune(object: unknown): { value: unknown; unknown: string[] };
  /** Fills defaults in; drops nulls where null is not allowed. Returns the same object where nothing changes. */
  applyDefaults(object: unknown): unknown;
  /** Complaints about types, limits and, where there are none, the CEL rules. `old`: the object being replaced. */
  validate(object: unknown, old?: unknown): Issue[];
}

/** A node with its children. Walks follow the schema, so their depth is the schema's, whatever the value. */
export interface CompiledNode {
  readonly schema: SchemaNode;
  readonly checks: readonly Check[];
  readonly properties: ReadonlyMap<string, CompiledNode>;
  readonly additional: CompiledNode | undefined;
  readonly items: CompiledNode | undefined;
  readonly keepsUnknown: boolean;
  readonly rules: readonly CompiledRule[];
  readonly rulesBelow: boolean;
}

const compiled = new WeakMap<StructuralSchema, CompiledSchema>();

/** Compiles the schema of a kind's version; the same schema is compiled once. */
export function compileSchema(schema: StructuralSchema): CompiledSchema {
  let ready = compiled.get(schema);
  if (!ready) {
    ready = create(schema as SchemaNode);
    compiled.set(schema, ready);
  }
  return ready;
}

function create(schema: SchemaNode): CompiledSchema {
  // A large schema takes milliseconds: compiled at first use.
  let node: CompiledNode | undefined;
  const root = () => {
    node ??= compileNode({ ...schema, properties: { ...schema.properties, ...rootProperties } });
    return node;
  };
  return {
    prune(object) {
      const unknown: string[] = [];
      return { value: pruneValue(root(), object, rootPath, unknown), unknown };
    },
    applyDefaults: (object) => defaultValue(root(), object),
    validate(object, old) {
      const issues: Issue[] = [];
      const sink: Sink = {
        add: (path, code, message) => {
          if (issues.length < MAX_ISSUES)
            issues.push({ path: path.toString(), severity: 'error', code, message });
        },
        get full() {
          return issues.length >= MAX_ISSUES;
        },
      };
      checkNode(root(), object, rootPath, sink);
      if (issues.length === 0 && root().rulesBelow) createRuleRun(sink).check(root(), object, old, rootPath);
      return issues;
    },
  };
}

function compileNode(schema: SchemaNode): CompiledNode {
  const properties = new Map(
    Object.entries(schema.properties ?? {}).map(([name, child]) => [name, compileNode(child)]),
  );
  const additional = isObject(schema.additionalProperties)
    ? compileNode(schema.additionalProperties as SchemaNode)
    : undefined;
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  if (embedded)
    for (const [name, child] of Object.entries(rootProperties)) properties.set(name, compileNode(child));
  const items = schema.items ? compileNode(schema.items) : undefined;
  const rules = compileRules(schema);
  return {
    schema,
    checks: ownChecks(schema),
    properties,
    additional,
    items,
    keepsUnknown:
      schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true,
    rules,
    rulesBelow:
      rules.length > 0 ||
      [...properties.values(), additional, items].some((child) => child?.rulesBelow === true),
  };
}

function checkNode(node: CompiledNode, value: unknown, path: FieldPath, sink: Sink): void {
  if (sink.full || value === undefined) return;
  for (const check of node.checks) check(value, path, sink);
  if (Array.isArray(value)) {
    if (node.items) for (const [i, item] of value.entries()) checkNode(node.items, item, path.index(i), sink);
  } else if (isObject(value)) {
    for (const name of Object.keys(value)) {
      const child = node.properties.get(name) ?? node.additional;
      if (child) checkNode(child, value[name], path.field(name), sink);
    }
  }
}

function pruneValue(node: CompiledNode, value: unknown, path: FieldPath, unknown: string[]): unknown {
  if (Array.isArray(value)) {
    const { items } = node;
    return items ? mapArray(value, (item, i) => pruneValue(items, item, path.index(i), unknown)) : value;
  }
  if (!isObject(value)) return value;
  return mapRecord(value, (name, field) => {
    const child = node.properties.get(name) ?? node.additional;
    if (child) return pruneValue(child, field, path.field(name), unknown);
    if (node.keepsUnknown) return field;
    if (unknown.length < MAX_ISSUES) unknown.push(path.field(name).toString());
    return undefined;
  });
}

function defaultValue(node: CompiledNode, value: unknown): unknown {
  if (Array.isArray(value)) {
    const { items } = node;
    return items ? mapArray(value, (item) => defaultValue(items, item)) : value;
  }
  if (!isObject(value)) return value;
  let filled = value;
  for (const [name, child] of node.properties) {
    const fallback = child.schema.default;
    if (fallback === undefined) continue;
    const absent = value[name] === undefined || (value[name] === null && !child.schema.nullable);
    if (!absent) continue;
    if (filled === value) filled = { ...value };
    filled[name] = structuredClone(fallback);
  }
  return mapRecord(filled, (name, field) => {
    const child = node.properties.get(name) ?? node.additional;
    if (!child) return field;
    if (field === null && !child.schema.nullable) return undefined;
    return defaultValue(child, field);
  });
}

/** Copies only when an item changes. */
function mapArray(items: unknown[], map: (item: unknown, i: number) => unknown): unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = map(items[i], i);
    if (item !== items[i]) {
      copy ??= items.slice();
      copy[i] = item;
    }
  }
  return copy ?? items;
}

/** Copies only when a field changes; undefined removes it. */
function mapRecord(
  record: Record<string, unknown>,
  map: (name: string, value: unknown) => unknown,
): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(record)) {
    const value = map(name, record[name]);
    if (value === record[name]) continue;
    copy ??= { ...record };
    if (value === undefined) delete copy[name];
    else copy[name] = value;
  }
  return copy ?? record;
}

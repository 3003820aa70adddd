import { isObject } from '../../kit/json.ts';
import { CelCompileError } from '../cel/scope.ts';
import type { FieldPath } from '../field-path.ts';
import { quote, type Report } from '../report.ts';
import { compileSchema } from './compile-schema.ts';
import { compileRegex } from './regex.ts';
import type { SchemaNode } from './schema-node.ts';
import { compileRules } from './schema-rules.ts';

const TYPES = ['string', 'boolean', 'integer', 'number', 'array', 'object'];
const FORBIDDEN = [
  '$ref',
  'definitions',
  'dependencies',
  'discriminator',
  'id',
  'patternProperties',
  'readOnly',
  'writeOnly',
  'xml',
];
/** Fields of a value validation that belong outside `allOf`, `anyOf`, `oneOf` and `not`. */
const STRUCTURE = ['type', 'default', 'nullable', 'description', 'additionalProperties'];
const MAX_NODES = 20_000;
const MAX_DEPTH = 64;

interface Walk {
  readonly report: Report;
  nodes: number;
}

/**
 * Checks that a user's schema is structural, that its expressions, rules and defaults hold, and that it stays within limits. See
 * "Specifying a structural schema" in the Kubernetes documentation of CustomResourceDefinitions.
 */
export function checkStructural(schema: unknown, path: FieldPath, report: Report): void {
  const before = report.issues.length;
  if (!isObject(schema)) {
    report.required(path, 'a version needs a schema');
    return;
  }
  if (schema.type !== 'object') report.required(path.field('type'), 'must be object at the root');
  checkNode(schema as SchemaNode, path, { report, nodes: 0 }, 0);
  if (report.issues.length === before) checkDefaults(schema as SchemaNode, path, report);
}

function checkNode(value: unknown, path: FieldPath, walk: Walk, depth: number): void {
  const { report } = walk;
  if (!isObject(value)) {
    report.error(path, 'FieldValueTypeInvalid', 'must be a schema');
    return;
  }
  const schema = value as SchemaNode;
  if (++walk.nodes > MAX_NODES) {
    if (walk.nodes === MAX_NODES + 1) report.invalid(path, `the schema has more than ${MAX_NODES} nodes`);
    return;
  }
  if (depth > MAX_DEPTH) {
    report.invalid(path, `the schema is nested more than ${MAX_DEPTH} levels deep`);
    return;
  }
  for (const name of FORBIDDEN)
    if (name in schema)
      report.error(path.field(name), 'FieldValueForbidden', 'is not allowed in the schema of a CRD');
  checkType(schema, path, report);
  checkValues(schema, path, report);
  checkListKeys(schema, path, report);
  checkRules(schema, path, report);
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    checkNode(child, path.field('properties').field(name), walk, depth + 1);
  if (isObject(schema.additionalProperties))
    checkNode(schema.additionalProperties as SchemaNode, path.field('additionalProperties'), walk, depth + 1);
  if (schema.items !== undefined) checkNode(schema.items, path.field('items'), walk, depth + 1);
}

function checkType(schema: SchemaNode, path: FieldPath, report: Report): void {
  const free = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  if (schema.type === undefined) {
    if (!free) report.required(path.field('type'), 'is required: a structural schema names every type');
  } else if (!TYPES.includes(schema.type)) {
    report.error(
      path.field('type'),
      'FieldValueNotSupported',
      `${quote(schema.type)} is not supported; use one of ${TYPES.join(', ')}`,
    );
  } else if (schema['x-kubernetes-int-or-string']) {
    report.error(
      path.field('type'),
      'FieldValueForbidden',
      'must be left out beside x-kubernetes-int-or-string',
    );
  }
  if (schema.type === 'array' && !schema.items)
    report.required(path.field('items'), 'is required for an array');
  if (schema.properties && schema.additionalProperties)
    report.error(
      path.field('additionalProperties'),
      'FieldValueForbidden',
      'properties and additionalProperties exclude each other',
    );
}

function checkValues(schema: SchemaNode, path: FieldPath, report: Report): void {
  if (schema.pattern !== undefined && !compileRegex(schema.pattern))
    report.invalid(path.field('pattern'), `${quote(schema.pattern)} is not a valid RE2 expression`);
  for (const name of ['allOf', 'anyOf', 'oneOf'] as const)
    for (const [i, branch] of (schema[name] ?? []).entries())
      checkBranch(branch, path.field(name).index(i), report);
  if (schema.not) checkBranch(schema.not, path.field('not'), report);
}

function checkBranch(value: SchemaNode, path: FieldPath, report: Report): void {
  if (!isObject(value)) return;
  const branch: SchemaNode = value;
  // The one exception of Kubernetes: the branches of int-or-string.
  const types = ['integer', 'string'];
  for (const name of STRUCTURE) {
    if (!(name in branch) || (name === 'type' && types.includes(branch.type ?? ''))) continue;
    report.error(path.field(name), 'FieldValueForbidden', 'belongs outside allOf, anyOf, oneOf and not');
  }
  for (const [name, child] of Object.entries(branch.properties ?? {}))
    checkBranch(child, path.field('properties').field(name), report);
  checkValues(branch, path, report);
}

function checkListKeys(schema: SchemaNode, path: FieldPath, report: Report): void {
  const type = schema['x-kubernetes-list-type'];
  if (type === undefined) return;
  if (!['atomic', 'set', 'map'].includes(type))
    report.error(path.field('x-kubernetes-list-type'), 'FieldValueNotSupported', 'use atomic, set or map');
  if (type !== 'map') return;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const place = path.field('x-kubernetes-list-map-keys');
  if (keys.length === 0) report.required(place, 'a list of type map needs keys');
  for (const [i, key] of keys.entries()) {
    const property = schema.items?.properties?.[key];
    if (!property) report.invalid(place.index(i), `${quote(key)} is no property of the items`);
    else if (property.default === undefined && !schema.items?.required?.includes(key))
      report.invalid(place.index(i), `${quote(key)} must be required or have a default`);
  }
}

function checkRules(schema: SchemaNode, path: FieldPath, report: Report): void {
  for (const [i, rule] of compileRules(schema).entries()) {
    const place = path.field('x-kubernetes-validations').index(i);
    for (const [field, compile] of [
      ['rule', rule.program],
      ['messageExpression', rule.messageProgram],
    ] as const) {
      try {
        compile();
      } catch (error) {
        if (!(error instanceof CelCompileError)) throw error;
        report.invalid(place.field(field), error.message);
      }
    }
  }
}

/** A default must itself be valid and hold no unknown fields. */
function checkDefaults(schema: SchemaNode, path: FieldPath, report: Report): void {
  if (schema.default !== undefined) {
    const wrapper = compileSchema({
      type: 'object',
      properties: { spec: { ...schema, default: undefined } },
    });
    const value = { spec: schema.default };
    const place = path.field('default');
    for (const issue of wrapper.validate(value))
      report.invalid(place, `${issue.path.slice(4)} ${issue.message}`.trim());
    for (const unknown of wrapper.prune(value).unknown)
      report.invalid(place, `${unknown.slice(5)} is an unknown field`);
  }
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    checkDefaults(child, path.field('properties').field(name), report);
  if (isObject(schema.additionalProperties))
    checkDefaults(schema.additionalProperties as SchemaNode, path.field('additionalProperties'), report);
  if (schema.items) checkDefaults(schema.items, path.field('items'), report);
}

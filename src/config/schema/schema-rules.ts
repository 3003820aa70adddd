import { isObject } from '../../kit/json.ts';
import { type CelProgram, compileCel } from '../cel/compile.ts';
import { fromJson } from '../cel/json-value.ts';
import type { Budget } from '../cel/run.ts';
import { CelBudgetError, CelError, type CelValue, Optional } from '../cel/value.ts';
import type { FieldPath } from '../field-path.ts';
import type { IssueCode } from '../report.ts';
import type { Sink } from './check-value.ts';
import type { CompiledNode } from './compile-schema.ts';
import type { SchemaNode, SchemaRule } from './schema-node.ts';

// The limits of Kubernetes' API server, in about its units.
const OBJECT_BUDGET = 10_000_000;
const RULE_BUDGET = 1_000_000;

/** A rule of `x-kubernetes-validations`; its expressions are compiled at first use. */
export interface CompiledRule {
  readonly rule: SchemaRule;
  /** Compares with the object being replaced, so it runs on updates only. */
  readonly transition: boolean;
  program(): CelProgram;
  messageProgram(): CelProgram | undefined;
}

export function compileRules(schema: SchemaNode): CompiledRule[] {
  return (schema['x-kubernetes-validations'] ?? []).map((rule) => {
    let program: CelProgram | undefined;
    let message: CelProgram | undefined;
    const variables = [
      { name: 'self', schema },
      { name: 'oldSelf', schema: rule.optionalOldSelf ? undefined : schema },
    ];
    return {
      rule,
      transition: /\boldSelf\b/.test(rule.rule) && !rule.optionalOldSelf,
      program: () => {
        program ??= compileCel(rule.rule, variables);
        return program;
      },
      messageProgram: () => {
        if (rule.messageExpression === undefined) return undefined;
        message ??= compileCel(rule.messageExpression, variables);
        return message;
      },
    };
  });
}

/** Checks the rules of one object: all of them share one budget. */
export function createRuleRun(sink: Sink) {
  const total: Budget = { remaining: OBJECT_BUDGET };
  const check = (node: CompiledNode, value: unknown, old: unknown, path: FieldPath): void => {
    if (!node.rulesBelow || value === undefined || value === null || sink.full) return;
    for (const rule of node.rules) checkRule(rule, node.schema, value, old, path, sink, total);
    if (Array.isArray(value)) {
      if (node.items?.rulesBelow) {
        const oldItem = correlate(node.schema, old);
        for (const [i, item] of value.entries()) check(node.items, item, oldItem(item), path.index(i));
      }
    } else if (isObject(value)) {
      for (const name of Object.keys(value)) {
        const child = node.properties.get(name) ?? node.additional;
        if (child?.rulesBelow)
          check(child, value[name], isObject(old) ? old[name] : undefined, path.field(name));
      }
    }
  };
  return { check };
}

/** Finds the old item that a new one replaces: only items of `map` lists have an identity. */
function correlate(schema: SchemaNode, old: unknown): (item: unknown) => unknown {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== 'map' || !keys || !Array.isArray(old)) return () => undefined;
  const id = (item: unknown) => (isObject(item) ? JSON.stringify(keys.map((key) => item[key])) : '');
  const byId = new Map(old.map((item) => [id(item), item as unknown]));
  return (item) => byId.get(id(item));
}

function checkRule(
  compiled: CompiledRule,
  schema: SchemaNode,
  value: unknown,
  old: unknown,
  path: FieldPath,
  sink: Sink,
  total: Budget,
): void {
  const { rule } = compiled;
  if (compiled.transition && (old === undefined || old === null)) return;
  const where = rule.fieldPath ? followFieldPath(path, rule.fieldPath) : path;
  const variables = [fromJson(value, schema), oldSelf(rule, schema, old)];
  try {
    const result = evaluate(compiled.program(), variables, total);
    if (result === true) return;
    if (typeof result !== 'boolean') throw new CelError('the rule gives no true or false');
    sink.add(where, codeOf(rule), messageOf(compiled, variables, total));
  } catch (error) {
    sink.add(where, 'FieldValueInvalid', failureText(rule, error));
  }
}

function oldSelf(rule: SchemaRule, schema: SchemaNode, old: unknown): CelValue | undefined {
  const value = old === null ? undefined : fromJson(old, schema);
  return rule.optionalOldSelf ? (value === undefined ? Optional.none : new Optional(value)) : value;
}

function evaluate(
  program: CelProgram,
  variables: readonly (CelValue | undefined)[],
  total: Budget,
): CelValue {
  const budget = { remaining: Math.min(RULE_BUDGET, total.remaining) };
  const before = budget.remaining;
  try {
    return program.evaluate(variables, budget);
  } finally {
    total.remaining -= before - Math.max(0, budget.remaining);
  }
}

function codeOf(rule: SchemaRule): IssueCode {
  switch (rule.reason) {
    case 'FieldValueForbidden':
    case 'FieldValueRequired':
    case 'FieldValueDuplicate':
      return rule.reason;
    default:
      return 'FieldValueInvalid';
  }
}

function messageOf(
  compiled: CompiledRule,
  variables: readonly (CelValue | undefined)[],
  total: Budget,
): string {
  const fallback = compiled.rule.message ?? `breaks the rule: ${compiled.rule.rule.trim()}`;
  try {
    const program = compiled.messageProgram();
    const text = program && evaluate(program, variables, total);
    return typeof text === 'string' && text.trim() !== '' && !text.includes('\n') ? text : fallback;
  } catch {
    return fallback;
  }
}

function failureText(rule: SchemaRule, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof CelBudgetError) return `${reason} (rule: ${rule.rule.trim()})`;
  return `the rule ${rule.rule.trim()} could not be decided: ${reason}`;
}

/** A relative JSON path such as `.spec.items['a.b']`. */
function followFieldPath(path: FieldPath, relative: string): FieldPath {
  let place = path;
  for (const match of relative.matchAll(/\.([^.[]+)|\['([^']+)'\]|\[(\d+)\]/g)) {
    const name = match[1] ?? match[2];
    place = name !== undefined ? place.field(name) : place.index(Number(match[3]));
  }
  return place;
}

import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import type { SchemaNode } from '../schema/schema-node.ts';
import { unescapeProperty } from './json-value.ts';
import { functions, methods, namespaces } from './library/library.ts';
import { compileMacro } from './macros.ts';
import { asBool, binaryOperators, negate } from './operators.ts';
import { type Budget, type CompiledExpression, type Run, spend } from './run.ts';
import { CelCompileError, dynamic, type Scope } from './scope.ts';
import { hasField, indexValue, selectField } from './select.ts';
import { CelBudgetError, CelError, type CelValue, Optional, TypeValue, Uint } from './value.ts';

const TYPES = ['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'type', 'uint'];

/** The longest expression that is read; longer ones than any published rule. */
const MAX_LENGTH = 20_000;

// Only the parser of this library is used: its evaluator matches with JavaScript's RegExp, knows no budget, and reads plain
// objects without the types of their schema.
const parser = new Environment({
  unlistedVariablesAreDyn: true,
  enableOptionalTypes: true,
  limits: { maxAstNodes: 10_000, maxDepth: 200 },
});

export interface CelProgram {
  /** Throws `CelError` when the expression fails, `CelBudgetError` when it works too much. */
  evaluate(variables: readonly (CelValue | undefined)[], budget: Budget): CelValue;
}

/**
 * Compiles an expression over the named variables. Throws `CelCompileError` for bad syntax, unknown names, unknown functions and
 * fields that the schema does not declare.
 */
export function compileCel(
  text: string,
  variables: readonly { name: string; schema: SchemaNode | undefined }[],
): CelProgram {
  if (text.length > MAX_LENGTH)
    throw new CelCompileError(`the expression is longer than ${MAX_LENGTH} characters`);
  const slots = { count: variables.length };
  const names = new Map(variables.map(({ name, schema }, slot) => [name, { slot, schema }]));
  const compiled = compileAst(parse(text), { names, slots });
  return {
    evaluate(values, budget) {
      const run: Run = { slots: values.slice(), budget };
      try {
        return compiled.run(run);
      } catch (error) {
        if (error instanceof CelError || error instanceof CelBudgetError) throw error;
        throw new CelError(error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/** What is wrong with an expression's syntax; undefined where nothing is. Names and functions are not looked up. */
export function celSyntaxProblem(text: string): string | undefined {
  try {
    parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function parse(text: string): ASTNode {
  try {
    return parser.parse(text).ast;
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new CelCompileError(message);
  }
}

function compileAst(node: ASTNode, scope: Scope): CompiledExpression {
  switch (node.op) {
    case 'value':
      return constant(literal(node.args));
    case 'id':
      return compileName(node.args, scope);
    case '.':
      return compileSelect(node.args[0], node.args[1], scope);
    case '.?':
      return compileOptionalSelect(compileAst(node.args[0], scope), node.args[1]);
    case '[]':
      return compileIndex(compileAst(node.args[0], scope), compileAst(node.args[1], scope), false);
    case '[?]':
      return compileIndex(compileAst(node.args[0], scope), compileAst(node.args[1], scope), true);
    case 'list':
      return compileList(node.args.map((item) => compileAst(item, scope).run));
    case 'map':
      return compileMap(
        node.args.map(([key, value]) => [compileAst(key, scope).run, compileAst(value, scope).run]),
      );
    case 'call':
      return compileCall(node.args[0], node.args[1], scope);
    case 'rcall':
      return compileMethod(node.args[0], node.args[1], node.args[2], scope);
    default:
      return compileOperator(node, scope);
  }
}

function constant(value: CelValue): CompiledExpression {
  return dynamic(() => value);
}

function literal(value: unknown): CelValue {
  if (value === null || typeof value !== 'object') return value as CelValue;
  if (value instanceof Uint8Array) return value;
  return new Uint(BigInt(String(value.valueOf())));
}

function compileName(name: string, scope: Scope): CompiledExpression {
  const known = scope.names.get(name);
  if (!known) {
    if (TYPES.includes(name)) return constant(new TypeValue(name));
    throw new CelCompileError(`undeclared reference to '${name}'`);
  }
  const { slot, schema } = known;
  return {
    schema,
    run: (run) => {
      const value = run.slots[slot];
      if (value === undefined) throw new CelError(`${name} has no value here`);
      return value;
    },
  };
}

function compileSelect(target: ASTNode, name: string, scope: Scope): CompiledExpression {
  const qualified = qualifiedName(target, name, scope);
  if (qualified === 'google.protobuf.Duration' || qualified === 'google.protobuf.Timestamp')
    return constant(new TypeValue(qualified));
  const object = compileAst(target, scope);
  const property = unescapeProperty(name);
  const schema = fieldSchema(object.schema, property);
  return {
    schema,
    run: (run) => {
      spend(run, 1);
      return selectField(object.run(run), property, name);
    },
  };
}

function qualifiedName(node: ASTNode, name: string, scope: Scope): string | undefined {
  if (node.op === 'id') return scope.names.has(node.args) ? undefined : `${node.args}.${name}`;
  if (node.op !== '.') return undefined;
  const prefix = qualifiedName(node.args[0], node.args[1], scope);
  return prefix === undefined ? undefined : `${prefix}.${name}`;
}

/** The schema of a declared field. Throws where the schema says that there is no such field. */
function fieldSchema(schema: SchemaNode | undefined, property: string): SchemaNode | undefined {
  if (!schema) return undefined;
  const declared = schema.properties?.[property];
  if (declared) return declared;
  if (typeof schema.additionalProperties === 'object') return schema.additionalProperties;
  if (schema['x-kubernetes-embedded-resource'] || !schema.properties) return undefined;
  throw new CelCompileError(`undefined field '${property}'`);
}

function compileOptionalSelect(object: CompiledExpression, field: unknown): CompiledExpression {
  const name = typeof field === 'string' ? field : String((field as ASTNode).args);
  const property = unescapeProperty(name);
  return dynamic((run) => {
    spend(run, 1);
    const value = object.run(run);
    const inner = value instanceof Optional ? value.value : value;
    if (inner === undefined || inner === null || !hasField(inner, property)) return Optional.none;
    return new Optional(selectField(inner, property, name));
  });
}

function compileIndex(
  target: CompiledExpression,
  index: CompiledExpression,
  optional: boolean,
): CompiledExpression {
  const schema = target.schema?.items ?? additional(target.schema);
  return {
    schema: optional ? undefined : schema,
    run: (run) => {
      spend(run, 1);
      return indexValue(target.run(run), index.run(run), optional);
    },
  };
}

function additional(schema: SchemaNode | undefined): SchemaNode | undefined {
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function compileList(items: readonly ((run: Run) => CelValue)[]): CompiledExpression {
  return dynamic((run) => {
    spend(run, items.length);
    return items.map((item) => item(run));
  });
}

function compileMap(
  entries: readonly (readonly [(run: Run) => CelValue, (run: Run) => CelValue])[],
): CompiledExpression {
  return dynamic((run) => {
    spend(run, entries.length);
    return new Map(entries.map(([key, value]) => [key(run), value(run)]));
  });
}

function compileCall(name: string, args: readonly ASTNode[], scope: Scope): CompiledExpression {
  if (name === 'has') return compileHas(args, scope);
  const handler = functions[name];
  if (!handler) throw new CelCompileError(`undeclared function '${name}'`);
  return callHandler(
    name,
    handler,
    args.map((arg) => compileAst(arg, scope).run),
  );
}

function callHandler(
  name: string,
  handler: { args: readonly number[]; call: (run: Run, args: readonly CelValue[]) => CelValue },
  args: readonly ((run: Run) => CelValue)[],
): CompiledExpression {
  if (!handler.args.includes(args.length))
    throw new CelCompileError(
      `${name}() takes ${handler.args.join(' or ')} argument(s), but got ${args.length}`,
    );
  return dynamic((run) => {
    spend(run, 1);
    return handler.call(
      run,
      args.map((arg) => arg(run)),
    );
  });
}

function compileMethod(
  name: string,
  target: ASTNode,
  args: readonly ASTNode[],
  scope: Scope,
): CompiledExpression {
  if (target.op === 'id' && !scope.names.has(target.args)) {
    const handler = namespaces[`${target.args}.${name}`];
    if (handler)
      return callHandler(
        `${target.args}.${name}`,
        handler,
        args.map((arg) => compileAst(arg, scope).run),
      );
  }
  const macro = compileMacro(name, target, args, scope, compileAst);
  if (macro) return macro;
  const handler = methods[name];
  if (!handler) throw new CelCompileError(`undeclared function '${name}'`);
  return callHandler(
    name,
    { args: handler.args.map((n) => n + 1), call: handler.call },
    [target, ...args].map((arg) => compileAst(arg, scope).run),
  );
}

function compileHas(args: readonly ASTNode[], scope: Scope): CompiledExpression {
  const field = args[0];
  if (args.length !== 1 || field?.op !== '.')
    throw new CelCompileError('has() needs one field, such as self.x');
  const object = compileAst(field.args[0], scope);
  const property = unescapeProperty(field.args[1]);
  fieldSchema(object.schema, property);
  return dynamic((run) => {
    spend(run, 1);
    return hasField(object.run(run), property);
  });
}

function compileOperator(node: ASTNode, scope: Scope): CompiledExpression {
  switch (node.op) {
    case '!_': {
      const operand = compileAst(node.args, scope);
      return dynamic((run) => !asBool(operand.run(run), '!'));
    }
    case '-_': {
      const operand = compileAst(node.args, scope);
      return dynamic((run) => negate(operand.run(run)));
    }
    case '?:': {
      const [test, yes, no] = node.args.map((arg) => compileAst(arg, scope)) as [
        CompiledExpression,
        CompiledExpression,
        CompiledExpression,
      ];
      return {
        schema: yes.schema && no.schema === yes.schema ? yes.schema : undefined,
        run: (run) => (asBool(test.run(run), '?:') ? yes.run(run) : no.run(run)),
      };
    }
    case '&&':
      return logical(compileAst(node.args[0], scope), compileAst(node.args[1], scope), false);
    case '||':
      return logical(compileAst(node.args[0], scope), compileAst(node.args[1], scope), true);
    default: {
      const apply = binaryOperators[node.op];
      if (!apply) throw new CelCompileError(`unknown operator ${node.op}`);
      const [left, right] = node.args as [ASTNode, ASTNode];
      const a = compileAst(left, scope).run;
      const b = compileAst(right, scope).run;
      return dynamic((run) => {
        spend(run, 1);
        return apply(run, a(run), b(run));
      });
    }
  }
}

/** `&&` (decided by false) and `||` (decided by true): one deciding side is enough, even when the other one fails. */
function logical(left: CompiledExpression, right: CompiledExpression, decides: boolean): CompiledExpression {
  const operator = decides ? '||' : '&&';
  return dynamic((run) => {
    let failure: CelError | undefined;
    try {
      if (asBool(left.run(run), operator) === decides) return decides;
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      failure = error;
    }
    if (asBool(right.run(run), operator) === decides) return decides;
    if (failure) throw failure;
    return !decides;
  });
}

import type { ASTNode } from '@marcbachmann/cel-js';
import type { SchemaNode } from '../schema/schema-node.ts';
import { asBool } from './operators.ts';
import { type CompiledExpression, type Run, spend } from './run.ts';
import { CelCompileError, type Compile, dynamic, type Scope } from './scope.ts';
import { CelError, CelObject, type CelValue, isList, isMap, Optional, typeName } from './value.ts';

type Evaluate = (run: Run) => CelValue;

/** One step of a loop over a list (item, or index and item) or a map (key, or key and value). */
interface Loop {
  /** Calls `visit` per item with the variables set; stops when it returns true. */
  each(run: Run, visit: () => boolean): void;
  /** Body expressions, compiled with the loop's variables in sight. */
  readonly bodies: readonly Evaluate[];
  readonly slot: number;
}

/** Expands `target.name(…)` where it is one of CEL's macros. */
export function compileMacro(
  name: string,
  target: ASTNode,
  args: readonly ASTNode[],
  scope: Scope,
  compileAst: Compile,
): CompiledExpression | undefined {
  if (name === 'bind' && target.op === 'id' && target.args === 'cel' && !scope.names.has('cel'))
    return compileBind(args, scope, compileAst);
  if ((name === 'optMap' || name === 'optFlatMap') && args.length === 2)
    return compileOptionalMap(name, target, args, scope, compileAst);
  const expand = Object.hasOwn(loops, name) ? loops[name] : undefined;
  if (!expand || args[0]?.op !== 'id' || args.length < 2) return undefined;
  const two = twoVariables(name, args);
  const loop = compileLoop(target, args, two ? 2 : 1, scope, compileAst);
  return dynamic((run) => expand(run, loop));
}

function twoVariables(name: string, args: readonly ASTNode[]): boolean {
  if (name.startsWith('transform')) return true;
  return args.length === 3 && args[1]?.op === 'id' && name !== 'map';
}

function compileLoop(
  target: ASTNode,
  args: readonly ASTNode[],
  variables: 1 | 2,
  scope: Scope,
  compileAst: Compile,
): Loop {
  const over = compileAst(target, scope);
  const itemSchema = over.schema?.items;
  const names = new Map(scope.names);
  const slots: number[] = [];
  for (const [i, variable] of args.slice(0, variables).entries()) {
    if (variable.op !== 'id') throw new CelCompileError('a loop needs a name for its variable');
    const slot = scope.slots.count++;
    slots.push(slot);
    names.set(variable.args, { slot, schema: variableSchema(over.schema, itemSchema, variables, i) });
  }
  const inner: Scope = { names, slots: scope.slots };
  const bodies = args.slice(variables).map((body) => compileAst(body, inner).run);
  const [first = 0, second] = slots;
  return {
    bodies,
    slot: first,
    each(run, visit) {
      for (const [key, value, item] of entries(over.run(run))) {
        spend(run, 1);
        run.slots[first] = second === undefined ? item : key;
        if (second !== undefined) run.slots[second] = value;
        if (visit()) return;
      }
    },
  };
}

function variableSchema(
  over: SchemaNode | undefined,
  items: SchemaNode | undefined,
  variables: 1 | 2,
  i: number,
): SchemaNode | undefined {
  if (variables === 1) return items;
  if (i === 0) return undefined;
  return items ?? (typeof over?.additionalProperties === 'object' ? over.additionalProperties : undefined);
}

/** [key or index, value, what a single variable sees]. */
function* entries(value: CelValue): Generator<[CelValue, CelValue, CelValue]> {
  if (isList(value)) {
    for (let i = 0; i < value.length; i++) yield [BigInt(i), value[i] ?? null, value[i] ?? null];
  } else if (isMap(value)) {
    for (const [key, item] of value) yield [key, item, key];
  } else if (value instanceof CelObject) {
    throw new CelError('an object with declared fields cannot be looped over');
  } else {
    throw new CelError(`${typeName(value)} cannot be looped over`);
  }
}

function test(body: Evaluate | undefined, run: Run): boolean {
  return body === undefined || asBool(body(run), 'the condition of a loop');
}

/** `all` (decided by false) and `exists` (decided by true): a failing item matters only when none decides. */
function quantify(run: Run, loop: Loop, decides: boolean): boolean {
  let failure: CelError | undefined;
  let decided = false;
  loop.each(run, () => {
    try {
      decided = test(loop.bodies[0], run) === decides;
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      failure = error;
    }
    return decided;
  });
  if (decided) return decides;
  if (failure) throw failure;
  return !decides;
}

function existsOne(run: Run, loop: Loop): boolean {
  let count = 0;
  loop.each(run, () => {
    if (test(loop.bodies[0], run)) count++;
    return false;
  });
  return count === 1;
}

/** `map(x, f)`, `map(x, p, f)`, `transformList(i, x, [p,] f)`. */
function transformList(run: Run, loop: Loop): CelValue {
  const out: CelValue[] = [];
  const condition = loop.bodies.length > 1 ? loop.bodies[0] : undefined;
  const transform = loop.bodies.at(-1);
  loop.each(run, () => {
    if (transform && test(condition, run)) out.push(transform(run));
    return false;
  });
  return out;
}

function transformMap(run: Run, loop: Loop): CelValue {
  const out = new Map<CelValue, CelValue>();
  const condition = loop.bodies.length > 1 ? loop.bodies[0] : undefined;
  const transform = loop.bodies.at(-1);
  loop.each(run, () => {
    if (transform && test(condition, run)) out.set(run.slots[loop.slot] ?? null, transform(run));
    return false;
  });
  return out;
}

function filter(run: Run, loop: Loop): CelValue {
  const out: CelValue[] = [];
  loop.each(run, () => {
    if (test(loop.bodies[0], run)) out.push(run.slots[loop.slot] ?? null);
    return false;
  });
  return out;
}

const loops: Record<string, (run: Run, loop: Loop) => CelValue> = {
  all: (run, loop) => quantify(run, loop, false),
  exists: (run, loop) => quantify(run, loop, true),
  exists_one: existsOne,
  existsOne,
  map: transformList,
  filter,
  transformList,
  transformMap,
};

function compileBind(args: readonly ASTNode[], scope: Scope, compileAst: Compile): CompiledExpression {
  const [variable, value, body] = args;
  if (variable?.op !== 'id' || !value || !body)
    throw new CelCompileError('cel.bind needs a name, a value and a body');
  const bound = compileAst(value, scope);
  const slot = scope.slots.count++;
  const names = new Map(scope.names).set(variable.args, { slot, schema: bound.schema });
  const inner = compileAst(body, { names, slots: scope.slots });
  return {
    schema: inner.schema,
    run: (run) => {
      run.slots[slot] = bound.run(run);
      return inner.run(run);
    },
  };
}

function compileOptionalMap(
  name: string,
  target: ASTNode,
  args: readonly ASTNode[],
  scope: Scope,
  compileAst: Compile,
): CompiledExpression {
  const [variable, body] = args;
  if (variable?.op !== 'id' || !body) throw new CelCompileError(`${name} needs a name and a body`);
  const source = compileAst(target, scope);
  const slot = scope.slots.count++;
  const names = new Map(scope.names).set(variable.args, { slot, schema: undefined });
  const inner = compileAst(body, { names, slots: scope.slots });
  return dynamic((run) => {
    const optional = source.run(run);
    if (!(optional instanceof Optional)) throw new CelError(`${name} needs an optional`);
    if (optional.value === undefined) return Optional.none;
    run.slots[slot] = optional.value;
    const value = inner.run(run);
    return name === 'optMap' ? new Optional(value) : value;
  });
}

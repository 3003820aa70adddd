import type { ASTNode } from '@marcbachmann/cel-js';
import type { SchemaNode } from '../schema/schema-node.ts';
import type { CompiledExpression, Run } from './run.ts';
import type { CelValue } from './value.ts';

/** The expression cannot run: its message says why, in one line. */
export class CelCompileError extends Error {}

/** Names in sight while an expression is compiled, each with its slot and, where known, the schema of its value. */
export interface Scope {
  readonly names: ReadonlyMap<string, { slot: number; schema: SchemaNode | undefined }>;
  /** Shared by all scopes of an expression: how many slots it needs. */
  readonly slots: { count: number };
}

/** Compiles a node in a scope; handed to the macros, which compile their bodies. */
export type Compile = (node: ASTNode, scope: Scope) => CompiledExpression;

export function dynamic(run: (run: Run) => CelValue): CompiledExpression {
  return { run, schema: undefined };
}

import type { SchemaNode } from '../schema/schema-node.ts';
import { CelBudgetError, type CelValue } from './value.ts';

/** Work that the rules of one object may do; one unit is about one operation or ten characters of text. */
export interface Budget {
  remaining: number;
}

/** The state of one evaluation: variables by slot, and what work is left. */
export interface Run {
  readonly slots: (CelValue | undefined)[];
  readonly budget: Budget;
}

/** A compiled expression node; `schema` is known where the value comes from declared fields. */
export interface CompiledExpression {
  readonly run: (run: Run) => CelValue;
  readonly schema: SchemaNode | undefined;
}

export function spend(run: Run, units: number): void {
  run.budget.remaining -= units;
  if (run.budget.remaining < 0)
    throw new CelBudgetError('the rule needs more work than allowed; simplify it or limit the size of lists');
}

/** Work that grows with a text or list. */
export function spendFor(run: Run, value: CelValue): void {
  if (typeof value === 'string') spend(run, 1 + value.length / 10);
  else if (Array.isArray(value)) spend(run, 1 + value.length);
  else spend(run, 1);
}

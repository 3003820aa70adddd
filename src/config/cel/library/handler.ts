import type { Run } from '../run.ts';
import { CelError, type CelValue, isList, typeName } from '../value.ts';

/** A function of the library. For methods, the first of `values` is the receiver, which `args` does not count. */
export interface Handler {
  /** The numbers of arguments that it takes. */
  readonly args: readonly number[];
  readonly call: (run: Run, values: readonly CelValue[]) => CelValue;
}

export type Library = Readonly<Record<string, Handler>>;

export function handler(args: number | readonly number[], call: Handler['call']): Handler {
  return { args: typeof args === 'number' ? [args] : args, call };
}

export function asString(value: CelValue | undefined): string {
  if (typeof value === 'string') return value;
  throw new CelError(`no such overload for ${typeName(value ?? null)}, needs a string`);
}

/** A whole number that fits a JavaScript number. */
export function asInt(value: CelValue | undefined): number {
  if (typeof value === 'bigint') return Number(value);
  throw new CelError(`no such overload for ${typeName(value ?? null)}, needs an int`);
}

export function asList(value: CelValue | undefined): readonly CelValue[] {
  if (value !== undefined && isList(value)) return value;
  throw new CelError(`no such overload for ${typeName(value ?? null)}, needs a list`);
}

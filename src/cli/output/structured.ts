import { stringify } from 'yaml';
import { CodedError } from '../../kit/coded-error.ts';

export type StructuredFormat = 'json' | 'yaml';

/** The value of `-o` where only some forms make sense. Throws `UsageInvalid`. */
export function parseOutput<T extends string>(
  value: string | undefined,
  allowed: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = allowed.find((format) => format === value);
  if (found) return found;
  throw new CodedError('UsageInvalid', `-o ${value} is not known here; it can be ${allowed.join(', ')}`);
}

export function formatStructured(value: unknown, format: StructuredFormat): string {
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value, { lineWidth: 0 });
}

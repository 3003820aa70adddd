import type { RequestContext } from '../context.ts';
import { type FieldValidation, fieldValidationOf } from '../objects/admission.ts';
import { ApiError } from '../status.ts';

export interface WriteOptions {
  dryRun: boolean;
  fieldManager: string;
  fieldValidation: FieldValidation;
  subresource: string;
  /** JSON paths of keys that the body held twice. */
  duplicates: readonly string[];
  /** Line and column of a JSON path in the body, where it has lines. */
  locate: ((path: string) => string | undefined) | undefined;
}

/** The query parameters that all writes share. Throws 422 for values Kubernetes does not know. */
export function writeOptions(context: RequestContext): WriteOptions {
  const { query } = context.info;
  return {
    dryRun: isDryRun(query.getAll('dryRun')),
    fieldManager: fieldManagerOf(query.get('fieldManager'), context.agent),
    fieldValidation: fieldValidationOf(query),
    subresource: context.info.resource?.subresource ?? '',
    duplicates: [],
    locate: undefined,
  };
}

export function isDryRun(values: readonly unknown[]): boolean {
  for (const value of values) {
    if (value !== 'All') {
      throw new ApiError(
        422,
        'Invalid',
        `dryRun: Unsupported value: ${JSON.stringify(value)}: supported values: "All"`,
      );
    }
  }
  return values.length > 0;
}

function fieldManagerOf(given: string | null, agent: string): string {
  const manager = given === null || given === '' ? agent : given;
  if (manager.length > 128) {
    throw new ApiError(422, 'Invalid', `fieldManager: Too long: may not be more than 128 bytes`);
  }
  if (!/^[\P{C}]*$/u.test(manager)) {
    throw new ApiError(
      422,
      'Invalid',
      'fieldManager: Invalid value: should only contain printable characters',
    );
  }
  return manager;
}

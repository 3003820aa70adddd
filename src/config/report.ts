import type { FieldPath } from './field-path.ts';
import type { Issue } from './kind.ts';

/** The codes of `Issue.code` that validators use, after Kubernetes' causes. */
export type IssueCode =
  | 'FieldValueInvalid'
  | 'FieldValueRequired'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTypeInvalid'
  | 'FieldValueDuplicate'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'UnknownField';

/** Collects what validators find. Never throws, never stops early. */
export interface Report {
  readonly issues: Issue[];
  /** `message`: what is wrong and how to mend it. */
  error(path: FieldPath, code: IssueCode, message: string): void;
  /** `FieldValueInvalid`, by far the most common code. */
  invalid(path: FieldPath, message: string): void;
  required(path: FieldPath, message: string): void;
  warn(path: FieldPath, message: string): void;
}

export function createReport(): Report {
  const issues: Issue[] = [];
  const error: Report['error'] = (path, code, message) => {
    issues.push({ path: path.toString(), severity: 'error', code, message });
  };
  return {
    issues,
    error,
    invalid: (path, message) => error(path, 'FieldValueInvalid', message),
    required: (path, message) => error(path, 'FieldValueRequired', message),
    warn: (path, message) => {
      issues.push({ path: path.toString(), severity: 'warning', code: 'FieldValueInvalid', message });
    },
  };
}

export function hasErrors(issues: readonly Issue[]): boolean {
  return issues.some((issue) => issue.severity === 'error');
}

/** A value as it appears in a message: JSON, cut short. */
export function quote(value: unknown, limit = 80): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    // Nested too deeply for JSON.
    return 'a deeply nested value';
  }
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}

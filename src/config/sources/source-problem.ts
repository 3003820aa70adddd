/** One thing wrong with what a source holds. Errors keep the whole last good state; warnings do not. */
export interface SourceProblem {
  severity: 'error' | 'warning';
  /** Stable code: one of the reader (`YamlSyntax`, …), of the object's check (`FieldValueInvalid`, …), or `DuplicateObject`, `FileUnreadable`, … */
  code: string;
  /** What is wrong, why, and how to mend it. */
  message: string;
  file: string;
  /** From 1; absent where the file or directory as a whole is meant. */
  line?: number;
  column?: number;
  /** The object concerned, `Kind namespace/name`, and the JSON path of the field in it, where known. */
  object?: string;
  path?: string;
}

/** `file:line:column: error: message`, the form that editors and terminals make clickable. */
export function formatProblem(problem: SourceProblem): string {
  const place =
    problem.line === undefined ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  const subject = problem.object === undefined ? '' : `${problem.object}: `;
  const field = problem.path ? `${problem.path}: ` : '';
  return `${place}: ${problem.severity}: ${subject}${field}${problem.message}`;
}

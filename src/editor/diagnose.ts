import { analyze } from '../analyze/analyze.ts';
import type { Analyzer } from '../analyze/analyzer.ts';
import type { Severity } from '../analyze/severity.ts';
import type { Issue } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import type { Workspace } from './workspace.ts';

/** One finding at a place; line and column from 0. */
export interface Diagnostic {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  /** Behind the last character of the word that is meant. */
  readonly end: number;
  readonly severity: Severity;
  readonly code: string;
  readonly message: string;
}

export interface DiagnoseOptions {
  readonly analyzers: readonly Analyzer[];
  readonly judge: (object: ConfigObject) => readonly Issue[];
  readonly now: number;
}

/** Everything that is wrong with the files of a workspace, taken together as one mesh. */
export function diagnose(workspace: Workspace, options: DiagnoseOptions): Diagnostic[] {
  const sources = workspace.objects();
  const messages = analyze(sources, {
    ...options,
    assumeInstallation: true,
    workloadsKnown: sources.some(({ object }) => object.kind === 'Pod' || object.kind === 'Deployment'),
  });
  const found = messages.flatMap(({ position, severity, code, message, resource }): Diagnostic[] => {
    if (!position) return [];
    const place = wordAt(workspace.text(position.file) ?? '', position.line - 1, position.column - 1);
    return [{ path: position.file, ...place, severity, code, message: `${message} (${resource})` }];
  });
  const broken = workspace.paths.flatMap((path) =>
    workspace.problems(path).map(({ line, column, code, message }): Diagnostic => {
      const place = wordAt(workspace.text(path) ?? '', line - 1, column - 1);
      return { path, ...place, severity: 'Error', code, message };
    }),
  );
  return [...broken, ...found];
}

/** From a place to the end of its word, or of its line. */
function wordAt(text: string, line: number, column: number): Pick<Diagnostic, 'line' | 'column' | 'end'> {
  const rest = (text.split('\n', line + 1)[line] ?? '').slice(column);
  const length = /^[^\s:]+/.exec(rest)?.[0].length ?? rest.trimEnd().length;
  return { line, column, end: column + Math.max(length, 1) };
}

import type { FieldPath } from '../../field-path.ts';
import type { Report } from '../../report.ts';
import { checkRegex, eachEntry } from './common.ts';

export interface StringMatch {
  exact?: string;
  prefix?: string;
  regex?: string;
}

/** A match of a text. An empty prefix or expression matches everything, which is nearly always a slip. */
export function checkStringMatch(
  report: Report,
  path: FieldPath,
  match: StringMatch | undefined,
  options: { emptyPrefix?: boolean } = {},
): void {
  if (match?.prefix === '' && !options.emptyPrefix)
    report.invalid(path.field('prefix'), 'must not be empty: leave the match out to match everything');
  if (match?.regex === undefined) return;
  if (match.regex === '')
    report.invalid(path.field('regex'), 'must not be empty: leave the match out to match everything');
  else checkRegex(report, path.field('regex'), match.regex);
}

export function checkStringMatches(
  report: Report,
  path: FieldPath,
  matches: Readonly<Record<string, StringMatch>> | undefined,
): void {
  eachEntry(matches, path, (_, match, place) => checkStringMatch(report, place, match));
}

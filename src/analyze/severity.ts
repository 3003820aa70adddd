export type Severity = 'Info' | 'Warning' | 'Error';

/** From harmless to bad. */
export const severities: readonly Severity[] = ['Info', 'Warning', 'Error'];

export function atLeast(severity: Severity, threshold: Severity): boolean {
  return severities.indexOf(severity) >= severities.indexOf(threshold);
}

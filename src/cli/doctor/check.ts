export type CheckState = 'ok' | 'warning' | 'error' | 'skipped';

/** What was looked at, what was found, and what to do about it. */
export interface Check {
  readonly area: string;
  readonly name: string;
  readonly state: CheckState;
  readonly found: string;
  /** How to mend it; with warnings and errors only. */
  readonly mend?: string;
}

export function ok(area: string, name: string, found: string): Check {
  return { area, name, state: 'ok', found };
}

export function skipped(area: string, name: string, found: string): Check {
  return { area, name, state: 'skipped', found };
}

export function trouble(
  state: 'warning' | 'error',
  area: string,
  name: string,
  found: string,
  mend: string,
): Check {
  return { area, name, state, found, mend };
}

/** What was found where a report was made; read by `ostria doctor` where the report is opened. */
export interface ReportedChecks {
  /** RFC 3339. */
  readonly made: string;
  /** Such as `linux x64`. */
  readonly platform: string;
  readonly checks: readonly Check[];
}

import { parseDuration } from '../../cel/time.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';

const MS = 1_000_000n;
const SECOND = 1_000_000_000n;

/** Nanoseconds of a duration such as `1.5s` or `1h30m`; undefined where it is none. */
export function durationNanos(text: string): bigint | undefined {
  return parseDuration(text)?.nanos;
}

/** Why a duration does not serve as a timeout; undefined where it does. At least 1 ms, in whole milliseconds. */
export function timeoutProblem(text: string): string | undefined {
  const nanos = durationNanos(text);
  if (nanos === undefined) return `${quote(text)} is not a duration such as 1.5s`;
  if (nanos < MS) return `${text} is too short: use at least 1ms`;
  return nanos % MS === 0n ? undefined : `${text} is too fine: use whole milliseconds`;
}

/** As `timeoutProblem`, within two bounds in seconds. */
export function boundedProblem(text: string, minSeconds: number, maxSeconds: number): string | undefined {
  const nanos = durationNanos(text);
  if (nanos === undefined) return `${quote(text)} is not a duration such as 1.5s`;
  const min = BigInt(Math.round(minSeconds * 1e9));
  if (nanos < min || nanos > BigInt(maxSeconds) * SECOND)
    return `${text} is out of range: use ${minSeconds}s to ${maxSeconds}s`;
  return undefined;
}

/** Time for the start of a connection: 1 ms to one hour. */
export function connectTimeoutProblem(text: string): string | undefined {
  return timeoutProblem(text) ?? boundedProblem(text, 0.001, 3600);
}

/** Time to sniff a protocol: 0 (off) or 10 ms to one hour, in whole milliseconds. */
export function detectionTimeoutProblem(text: string): string | undefined {
  if (durationNanos(text) === 0n) return undefined;
  return timeoutProblem(text) ?? boundedProblem(text, 0.01, 3600);
}

/** Time for draining: whole seconds. */
export function drainDurationProblem(text: string): string | undefined {
  const problem = timeoutProblem(text);
  if (problem !== undefined) return problem;
  return (durationNanos(text) ?? 0n) % SECOND === 0n ? undefined : `${text} is too fine: use whole seconds`;
}

export function checkTimeout(report: Report, path: FieldPath, text: string | undefined): void {
  const problem = text === undefined ? undefined : timeoutProblem(text);
  if (problem !== undefined) report.invalid(path, problem);
}

/** Zero switches the feature off. */
export function checkTimeoutOrZero(report: Report, path: FieldPath, text: string | undefined): void {
  if (text !== undefined && durationNanos(text) !== 0n) checkTimeout(report, path, text);
}

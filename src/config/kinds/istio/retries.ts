import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkTimeout, checkTimeoutOrZero } from './durations.ts';

/** Envoy's retry conditions (x-envoy-retry-on, x-envoy-retry-grpc-on). */
const CONDITIONS = new Set([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

export interface RetrySpec {
  attempts?: number;
  perTryTimeout?: string;
  retryOn?: string;
  backoff?: string;
  retryRemoteLocalities?: boolean | null;
  retryIgnorePreviousHosts?: boolean | null;
}

export function checkRetries(report: Report, path: FieldPath, retries: RetrySpec | undefined): void {
  if (!retries) return;
  const { attempts = 0, perTryTimeout, retryOn = '', backoff } = retries;
  if (attempts < 0) report.invalid(path.field('attempts'), `${attempts} must not be negative`);
  if (attempts === 0) {
    const ignored = ['perTryTimeout', 'retryOn', 'retryRemoteLocalities', 'backoff'].filter(
      (name) => ![undefined, null, ''].includes(retries[name as keyof RetrySpec] as undefined),
    );
    if (ignored.length > 0)
      report.invalid(
        path.field('attempts'),
        `0 attempts switch retries off, so ${ignored.join(', ')} would do nothing; set attempts or remove the rest`,
      );
  }
  checkTimeoutOrZero(report, path.field('perTryTimeout'), perTryTimeout);
  if (backoff !== undefined) checkTimeout(report, path.field('backoff'), backoff);
  for (const condition of retryOn.split(',')) {
    const word = condition.trim();
    if (retryOn === '' || CONDITIONS.has(word) || isStatus(word)) continue;
    report.invalid(path.field('retryOn'), `${quote(word)} is no retry condition or HTTP status`);
  }
}

function isStatus(word: string): boolean {
  return /^[1-5]\d\d$/.test(word);
}

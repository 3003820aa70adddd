import { err, out } from '../../output/style.ts';
import { formatSeconds } from './describe-delivery.ts';
import {
  baselineMs,
  type ErrorCondition,
  type ErrorMeter,
  type ErrorRate,
  leastRequests,
} from './error-rate.ts';
import { ProgressLine } from './progress-line.ts';

export type ErrorVerdict = 'fine' | 'too many' | 'too few requests';

export function formatRate({ errors, requests, rate }: ErrorRate): string {
  return `${(rate * 100).toFixed(rate > 0 && rate < 0.01 ? 2 : 1)} % (${errors} of ${requests})`;
}

/** What fails already before a change is no reason against it. */
export async function baselineRate(meter: ErrorMeter, signal: AbortSignal): Promise<ErrorRate> {
  const line = new ProgressLine('Errors before');
  try {
    return await meter.measure(baselineMs, signal, (rate) => {
      line.show(formatRate(rate));
      return false;
    });
  } finally {
    line.end();
  }
}

/** Watches the callers' errors for a while, and says what came of it. `of`: those of these proxies (`name.namespace`) alone. */
export async function observeErrors(
  meter: ErrorMeter,
  { maxRate, observeMs }: ErrorCondition,
  baseline: ErrorRate,
  signal: AbortSignal,
  of?: ReadonlySet<string>,
): Promise<ErrorVerdict> {
  const line = new ProgressLine('Errors');
  const before = baseline.requests >= leastRequests ? baseline.rate : 0;
  const isTooMuch = (rate: ErrorRate): boolean =>
    rate.requests >= leastRequests && rate.rate - before > maxRate;
  const onSample = (now: ErrorRate): boolean => {
    line.show(`${formatRate(now)}, before ${formatRate(baseline)}`);
    return isTooMuch(now);
  };
  const rate = await meter.measure(observeMs, signal, onSample, of);
  line.end();
  if (isTooMuch(rate)) {
    process.stderr.write(
      `${err.red('errors')}: ${formatRate(rate)} of the requests concerned fail, ${formatRate(baseline)} before; at most ${(maxRate * 100).toFixed(1)} % more were allowed\n`,
    );
    return 'too many';
  }
  if (rate.requests < leastRequests) {
    process.stderr.write(
      `${err.yellow('note')}: only ${rate.requests} requests came in ${formatSeconds(observeMs)}: too few to say anything of their errors (${leastRequests} are needed)\n`,
    );
    return 'too few requests';
  }
  process.stdout.write(
    `${out.green(`Errors in ${formatSeconds(observeMs)}: ${formatRate(rate)}`)}, before ${formatRate(baseline)}\n`,
  );
  return 'fine';
}

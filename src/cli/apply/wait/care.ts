import type { Command } from 'commander';
import { CodedError } from '../../../kit/coded-error.ts';
import type { ErrorCondition } from './error-rate.ts';
import { durationOf } from './wait-for-writes.ts';

/** Flags by which a change is made with care. */
export interface CareFlags {
  readonly maxErrorRate?: string;
  readonly observe: string;
  readonly canary?: string;
}

export interface Care {
  readonly errors: ErrorCondition | undefined;
  /** Shares of the proxies that try it first, ascending, 0 to 1; empty: everybody gets it at once. */
  readonly canary: readonly number[];
}

export function addCareFlags(command: Command): Command {
  return command
    .option('--max-error-rate <share>', 'wait, and fail if so many more requests fail than before: 1%')
    .option('--observe <duration>', 'how long --max-error-rate watches', '30s')
    .option(
      '--canary <shares>',
      'wait, and try it on a share of the proxies concerned first: 10%, or 10%,50%',
    );
}

/** Throws `UsageInvalid`. */
export function careOf(flags: CareFlags): Care {
  const observeMs = durationOf('--observe', flags.observe);
  const rate = flags.maxErrorRate;
  const errors = rate === undefined ? undefined : { maxRate: shareOf('--max-error-rate', rate), observeMs };
  const canary = (flags.canary?.split(',') ?? []).map((text) => shareOf('--canary', text.trim()));
  if (canary.some((share, at) => share <= (canary[at - 1] ?? 0)))
    throw new CodedError(
      'UsageInvalid',
      `--canary ${flags.canary} must be shares that grow, such as 10%,50%`,
    );
  return { errors, canary };
}

/** `1%` or `0.01`. */
function shareOf(flag: string, text: string): number {
  const share = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text !== '' && text !== '%' && share >= 0 && share <= 1) return share;
  throw new CodedError('UsageInvalid', `${flag} ${text} is no share such as 1% or 0.01`);
}

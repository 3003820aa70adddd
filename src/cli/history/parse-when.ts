import { CodedError } from '../../kit/coded-error.ts';
import { parseDuration } from '../mesh-file/duration.ts';

/** A point in the history: a revision, or a time in ms since the epoch. */
export type When = { readonly revision: number } | { readonly at: number };

const clock = /^(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,3})?))?$/;
const date = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/**
 * What people write for a point in time: `14:05` or `14:05:30` (the last time that the clock said so), `2026-11-27T14:05` (local, unless
 * a zone is given), `10m` or `1h30m` (so long ago), `now`, or a revision such as `17`. Throws `UsageInvalid`.
 */
export function parseWhen(text: string, now = Date.now()): When {
  if (/^#?\d{1,9}$/.test(text)) return { revision: Number(text.replace('#', '')) };
  if (text === 'now') return { at: now };
  const found = clock.exec(text);
  if (found) {
    const [, hours, minutes, seconds = '0'] = found;
    const at = new Date(now);
    at.setHours(Number(hours), Number(minutes), 0, 0);
    const time = at.getTime() + Number(seconds) * 1000;
    if (Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) < 60) {
      if (time <= now) return { at: time };
      at.setDate(at.getDate() - 1);
      return { at: at.getTime() + Number(seconds) * 1000 };
    }
  }
  const ago = parseDuration(text.replace(/ ago$/, ''));
  if (ago !== undefined) return { at: now - ago };
  if (date.test(text)) {
    const at = Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'));
    if (Number.isFinite(at)) return { at };
  }
  throw new CodedError(
    'UsageInvalid',
    `${JSON.stringify(text)} is no point in time; write 14:05, 2026-11-27T14:05, 10m (ago), now, or a revision such as 17`,
  );
}

/** For a query of the control plane. */
export function whenText(when: When): string {
  return String('revision' in when ? when.revision : when.at);
}

/** The local time, as people compare it with their watch: `14:05:30`, with the date where it is another day. */
export function formatTime(at: number, now = Date.now()): string {
  const [then, today] = [new Date(at), new Date(now)];
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  if (then.toDateString() === today.toDateString()) return time;
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${time}`;
}

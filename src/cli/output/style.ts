import { createColors } from 'picocolors';

/** Colours only on a terminal, and never where NO_COLOR is set (no-color.org) or TERM is dumb; FORCE_COLOR asks for them. */
export function wantsColor(
  stream: { isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '' && env.FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export const out = createColors(wantsColor(process.stdout));
export const err = createColors(wantsColor(process.stderr));

import { RE2JS } from 're2js';
import type { TextMatch } from '../../../plan/route-plan.ts';

/** Whether an authority condition holds for a host that is asked for by its full name, with or without the port. */
export function authorityHolds(condition: TextMatch, host: string, port: number): boolean {
  return [host, `${host}:${port}`].some((authority) => {
    if ('exact' in condition) return condition.exact === authority;
    if ('prefix' in condition) return authority.startsWith(condition.prefix);
    if ('regex' in condition) return matchesWhole(condition.regex, authority);
    return true;
  });
}

/** RE2 on the whole text, as Envoy matches; an expression that RE2 refuses matches nothing. */
function matchesWhole(regex: string, text: string): boolean {
  try {
    return RE2JS.compile(regex).matches(text);
  } catch {
    return false;
  }
}

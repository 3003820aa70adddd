import { RE2JS } from 're2js';

/** The largest program that proxies take: the agent's bootstrap says so (`re2.max_program_size.error_level`). */
const maxProgram = 32_768;
/** Instructions that a step may need which takes characters beyond ASCII; measured with Envoy 1.40 (`\\pL` needs 7). */
const wideStep = 8;
/** Steps that may take more than ASCII: any character, negated and named sets, case folding, non-ASCII text. */
const wide = /[.\u0080-\uffff]|\[\^|\\[DSWpPXC]|\(\?[a-zA-Z]*i/;

/** Whether RE2, and so Envoy, takes an expression: its syntax, and the size of what it compiles to. */
export function isRegex(regex: string): boolean {
  try {
    const steps = RE2JS.compile(regex).programSize();
    return steps * (wide.test(regex) ? wideStep : 1) <= maxProgram;
  } catch {
    return false;
  }
}

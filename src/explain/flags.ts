import { type FlagCode, responseFlags } from '../simulate/response-flags.ts';
import type { Flag } from './explanation.ts';

/** Refusals that Envoy tells in its details, not by a flag. */
const details = {
  RBAC: {
    meaning: 'access denied by an authorization policy',
    mend: 'name the caller in a rule of an ALLOW policy, or take it out of the DENY policy that matches',
  },
  JWT: {
    meaning: 'the token is missing, too old, or of somebody whom no rule trusts',
    mend: 'send a token of an issuer that RequestAuthentication names',
  },
} as const;

const table = { ...responseFlags, ...details };

export type CauseCode = FlagCode | keyof typeof details;

/** The words of a flag; `mend` where more is known than what helps in general. */
export function flag(code: CauseCode, mend?: string): Flag {
  return { code, meaning: table[code].meaning, mend: mend ?? table[code].mend };
}

import type { Flag } from './explanation.ts';

interface FlagWords {
  readonly meaning: string;
  readonly mend: string;
}

/**
 * Envoy's response flags, what each means in a mesh, and what mends it.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#response-flags
 */
const table = {
  NR: {
    meaning: 'no route: nothing that the proxy knows takes this request',
    mend: 'add a route (VirtualService or HTTPRoute) that takes it, or mend the condition that misses it',
  },
  NC: {
    meaning: 'no cluster: the route names a destination that the proxy does not have',
    mend: 'define the service, or the subset in a DestinationRule that this proxy sees',
  },
  UH: {
    meaning: 'no healthy upstream: the destination has no endpoint that could answer',
    mend: 'look at its pods and at the labels by which the Service or subset selects them',
  },
  UF: {
    meaning: 'upstream connection failure: no connection to the destination comes about',
    mend: 'let both ends agree on TLS, and see that something listens on the port',
  },
  UC: {
    meaning: 'upstream connection termination: the destination closed the connection',
    mend: 'see whether the server wants mutual TLS that this client does not offer, or closes idle connections early',
  },
  UAEX: {
    meaning: 'an external authorizer refused the request',
    mend: 'look at what the provider of the CUSTOM policy decides, and why',
  },
  RBAC: {
    meaning: 'access denied by an authorization policy',
    mend: 'name the caller in a rule of an ALLOW policy, or take it out of the DENY policy that matches',
  },
  FI: {
    meaning: 'a fault is injected on purpose: the request is aborted',
    mend: 'remove the fault from the route',
  },
  DI: {
    meaning: 'a fault is injected on purpose: the request is delayed',
    mend: 'remove the fault from the route',
  },
  RL: {
    meaning: 'a rate limit refuses the request',
    mend: 'raise the limit, or send less',
  },
  JWT: {
    meaning: 'the token is missing, too old, or of somebody whom no rule trusts',
    mend: 'send a token of an issuer that RequestAuthentication names',
  },
} as const satisfies Readonly<Record<string, FlagWords>>;

export type FlagCode = keyof typeof table;

/** The words of a flag; `mend` where more is known than what helps in general. */
export function flag(code: FlagCode, mend?: string): Flag {
  return { code, meaning: table[code].meaning, mend: mend ?? table[code].mend };
}

import type { Origin } from '../config/origin.ts';

const policyName = /ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]/;
const providerName = /^ns\[([^\]]*)\]-request-authentication\[([^\]]*)\]-rule\[(\d+)\]$/;
const asked = /^istio-ext-authz-(.+?)-ns\[/;

/** The rule behind the name under which it travels in RBAC filters, also one that is asked about elsewhere. */
export function policyOrigin(name: string): Origin | undefined {
  return originFrom(policyName.exec(name), 'AuthorizationPolicy', 'rules');
}

/** The rule behind the name of a token provider. */
export function issuerOrigin(name: string): Origin | undefined {
  return originFrom(providerName.exec(name), 'RequestAuthentication', 'jwtRules');
}

/** Whom a rule of a CUSTOM policy asks. */
export function askedProvider(name: string): string | undefined {
  return asked.exec(name)?.[1];
}

function originFrom(found: RegExpExecArray | null, kind: string, field: string): Origin | undefined {
  if (!found) return undefined;
  const [, namespace = '', name = '', index = ''] = found;
  return { kind, namespace, name, path: `spec.${field}[${index}]` };
}

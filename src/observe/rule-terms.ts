import type { Rule } from '../features/security/authorization-policy/schema.ts';

/** One field of a rule that can be judged by itself. */
export interface Term {
  /** The field, `spec.rules[0].to[1].operation.methods`. */
  readonly path: string;
  /** As conditions name it: `source.principal`, `request.headers[x]`; fields of operations by their own names. */
  readonly attribute: string;
  readonly negative: boolean;
  readonly values: readonly string[];
  /** A rule of this field alone. */
  readonly alone: Rule;
}

export interface RuleTerms {
  /** Alternatives; none: everybody. */
  readonly from: readonly (readonly Term[])[];
  readonly to: readonly (readonly Term[])[];
  readonly when: readonly Term[];
}

const attributes: Readonly<Record<string, string>> = {
  principals: 'source.principal',
  requestPrincipals: 'request.auth.principal',
  namespaces: 'source.namespace',
  serviceAccounts: 'source.serviceAccount',
  trustDomains: 'source.trustDomain',
  ipBlocks: 'source.ip',
  remoteIpBlocks: 'remote.ip',
};

/** The parts of rule `index`, each as a rule of its own. */
export function termsOf(rule: Rule, index: number): RuleTerms {
  const at = `spec.rules[${index}]`;
  return {
    from: (rule.from ?? []).map(({ source = {} }, i) =>
      fieldTerms(source, `${at}.from[${i}].source`, (field) => ({ from: [{ source: field }] })),
    ),
    to: (rule.to ?? []).map(({ operation = {} }, i) =>
      fieldTerms(operation, `${at}.to[${i}].operation`, (field) => ({ to: [{ operation: field }] })),
    ),
    when: (rule.when ?? []).flatMap(({ key, values = [], notValues = [] }, i) => [
      ...term({
        path: `${at}.when[${i}].values`,
        attribute: key,
        negative: false,
        values,
        alone: { when: [{ key, values }] },
      }),
      ...term({
        path: `${at}.when[${i}].notValues`,
        attribute: key,
        negative: true,
        values: notValues,
        alone: { when: [{ key, notValues }] },
      }),
    ]),
  };
}

function fieldTerms(fields: object, path: string, rule: (field: Record<string, string[]>) => Rule): Term[] {
  return Object.entries(fields as Record<string, string[] | undefined>).flatMap(([name, values = []]) => {
    const negative = /^not[A-Z]/.test(name);
    const positive = negative ? name.charAt(3).toLowerCase() + name.slice(4) : name;
    const attribute = attributes[positive] ?? positive;
    return term({ path: `${path}.${name}`, attribute, negative, values, alone: rule({ [name]: values }) });
  });
}

function term(one: Term): Term[] {
  return one.values.length > 0 ? [one] : [];
}

import { badRequest } from '../status.ts';

interface Requirement {
  key: string;
  operator: 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';
  values: readonly string[];
}

export type LabelMatcher = (labels: Readonly<Record<string, string>> | undefined) => boolean;

/** Parses a label selector in its text form: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Throws 400. Undefined: matches all. */
export function parseLabelSelector(text: string | null): LabelMatcher | undefined {
  if (text === null || text.trim() === '') return undefined;
  const requirements = parse(tokenize(text), text);
  return (labels) => requirements.every((requirement) => matches(requirement, labels ?? {}));
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  const pattern = /\s*(==|!=|=|!|,|\(|\)|>|<|[^\s=!,()<>]+)/gy;
  let at = 0;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) {
      if (text.slice(at).trim() === '') break;
      throw bad(text, `unexpected '${text.slice(at, at + 10)}'`);
    }
    tokens.push(match[1] ?? '');
    at = pattern.lastIndex;
  }
  return tokens;
}

function parse(tokens: readonly string[], text: string): Requirement[] {
  const requirements: Requirement[] = [];
  let at = 0;
  const next = () => tokens[at++];
  const isWord = (token: string | undefined) => token !== undefined && !/^(==|!=|[=!,()<>])$/.test(token);
  for (;;) {
    let token = next();
    const negated = token === '!';
    if (negated) token = next();
    if (!isWord(token) || token === undefined)
      throw bad(text, `found '${token ?? ''}', expected a label key`);
    checkKey(token, text);
    const requirement: Requirement = { key: token, operator: negated ? 'absent' : 'exists', values: [] };
    const operator = tokens[at];
    if (!negated && operator !== undefined && operator !== ',') {
      at++;
      if (operator === 'in' || operator === 'notin') {
        requirement.operator = operator;
        requirement.values = parseValues();
      } else if (['=', '==', '!=', '>', '<'].includes(operator)) {
        const value = isWord(tokens[at]) ? (next() ?? '') : '';
        requirement.operator =
          operator === '!=' ? 'notin' : operator === '>' ? 'gt' : operator === '<' ? 'lt' : 'in';
        checkValue(value, text);
        requirement.values = [value];
      } else throw bad(text, `found '${operator}', expected: in, notin, =, ==, !=, >, <`);
    }
    requirements.push(requirement);
    const separator = next();
    if (separator === undefined) return requirements;
    if (separator !== ',') throw bad(text, `found '${separator}', expected ',' or the end`);
  }

  function parseValues(): string[] {
    if (next() !== '(') throw bad(text, `expected '('`);
    const values: string[] = [];
    for (let expectValue = true; ; ) {
      const token = next();
      if (token === ')') {
        if (expectValue) values.push('');
        return values;
      }
      if (token === ',') {
        if (expectValue) values.push('');
        expectValue = true;
      } else if (isWord(token) && token !== undefined && expectValue) {
        checkValue(token, text);
        values.push(token);
        expectValue = false;
      } else throw bad(text, `found '${token ?? ''}', expected ',' or ')'`);
    }
  }
}

function matches(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const has = Object.hasOwn(labels, requirement.key);
  const value = has ? String(labels[requirement.key]) : '';
  switch (requirement.operator) {
    case 'exists':
      return has;
    case 'absent':
      return !has;
    case 'in':
      return has && requirement.values.includes(value);
    case 'notin':
      return !has || !requirement.values.includes(value);
    default: {
      if (!has || !/^-?\d+$/.test(value) || !/^-?\d+$/.test(requirement.values[0] ?? '')) return false;
      const difference = BigInt(value) - BigInt(requirement.values[0] ?? '0');
      return requirement.operator === 'gt' ? difference > 0n : difference < 0n;
    }
  }
}

const namePart = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const prefixPart = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** `prefix/name` or `name`, as Kubernetes wants label and annotation keys. */
export function isQualifiedName(key: string): boolean {
  const slash = key.indexOf('/');
  if (slash < 0) return namePart.test(key);
  const prefix = key.slice(0, slash);
  return prefix.length <= 253 && prefixPart.test(prefix) && namePart.test(key.slice(slash + 1));
}

export function isLabelValue(value: string): boolean {
  return value === '' || namePart.test(value);
}

function checkKey(key: string, text: string): void {
  if (!isQualifiedName(key)) throw bad(text, `'${key}' is not a label key`);
}

function checkValue(value: string, text: string): void {
  if (!isLabelValue(value)) throw bad(text, `'${value}' is not a label value`);
}

function bad(text: string, why: string) {
  return badRequest(`unable to parse requirement: ${why} in the label selector '${text}'`);
}

import type { Kind } from '../../kind.ts';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export function isDnsLabel(name: string): boolean {
  return name.length <= 63 && label.test(name);
}

export function isDnsSubdomain(name: string): boolean {
  return name.length <= 253 && subdomain.test(name);
}

/** What is wrong with an object's name, by its kind's rule; undefined when nothing is. */
export function nameProblem(kind: Kind, name: string): string | undefined {
  if (kind.group === 'rbac.authorization.k8s.io') {
    if (name === '.' || name === '..' || /[/%]/.test(name))
      return `"${name}" may not be '.' or '..' or contain '/' or '%'`;
    return name.length <= 253 ? undefined : 'must be no more than 253 characters';
  }
  if (kind.group === '' && kind.kind === 'Namespace') {
    if (isDnsLabel(name)) return undefined;
    return `"${name}": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', must start and end with an alphanumeric character and have at most 63 of them`;
  }
  if (kind.group === '' && kind.kind === 'Service') {
    if (name.length <= 63 && label1035.test(name)) return undefined;
    return `"${name}": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with a letter, end with an alphanumeric character and have at most 63 of them`;
  }
  if (isDnsSubdomain(name)) return undefined;
  return `"${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', must start and end with an alphanumeric character and have at most 253 of them`;
}

const suffixCharacters = 'bcdfghjklmnpqrstvwxz2456789';

/** `generateName` with five random characters: no vowels, so no words. */
export function generatedName(prefix: string, random: () => number = Math.random): string {
  let suffix = '';
  for (let i = 0; i < 5; i++) suffix += suffixCharacters[Math.floor(random() * suffixCharacters.length)];
  return prefix.slice(0, 248) + suffix;
}

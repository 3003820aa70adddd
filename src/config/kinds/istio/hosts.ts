import { parseCidr, parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';

// Names as Istio's admission takes them: DNS-1123 labels of either case, at most 255 characters in all.

const LABEL = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
/** The first label of a wildcard host: `*`, `*foo` or `*-foo`. */
const WILDCARD_LABEL = /^(\*|\*?-?[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)$/;
/** The SNI of an east-west gateway: `outbound_.<port>_.<subset or _>._.<host>`. */
const EAST_WEST_SNI = /^outbound_\.\d+_\.[a-zA-Z0-9_-]*_?\.?(.+)$/;
const MAX_LENGTH = 255;

/** Why a text is no fully qualified host name; undefined where it is one. A dot at the end is allowed. */
export function fqdnProblem(host: string): string | undefined {
  return lengthProblem(host) ?? labelsProblem(host, host.replace(/\.$/, '').split('.'));
}

/** As `fqdnProblem`, but the host may be `*` or start with a wildcard label. */
export function wildcardDomainProblem(host: string): string | undefined {
  const problem = lengthProblem(host);
  if (problem !== undefined) return problem;
  const [first = '', ...rest] = host.replace(/\.$/, '').split('.');
  if (rest.length === 0 && first === '*') return undefined;
  if (!first.startsWith('*')) return labelsProblem(host, [first, ...rest]);
  if (!WILDCARD_LABEL.test(first))
    return `${quote(host)} is not a host: a wildcard stands for the start of the name, as in *.example.com`;
  return rest.length === 0 ? undefined : labelsProblem(host, rest);
}

/** A host of a VirtualService that is bound to gateways only: the names of east-west gateways are allowed for SNI. */
export function gatewayHostProblem(host: string, sni: boolean): string | undefined {
  const eastWest = sni ? EAST_WEST_SNI.exec(host) : null;
  return eastWest?.[1] === undefined
    ? wildcardDomainProblem(host)
    : fqdnProblem(eastWest[1].replace(/^_\./, ''));
}

function lengthProblem(host: string): string | undefined {
  if (host === '') return 'must not be empty: give a host name';
  return host.length > MAX_LENGTH ? `is longer than ${MAX_LENGTH} characters` : undefined;
}

function labelsProblem(host: string, labels: readonly string[]): string | undefined {
  for (const label of labels) {
    if (LABEL.test(label)) continue;
    if (label.includes('*')) return `${quote(host)} is not a host: only its first label may hold a wildcard`;
    return `${quote(host)} is not a host: the label ${quote(label)} must be letters, digits and -, at most 63`;
  }
  if (/^\d+$/.test(labels.at(-1) ?? ''))
    return `${quote(host)} is not a host: its last label must not be a number`;
  return undefined;
}

export function isDnsLabel(text: string): boolean {
  return LABEL.test(text);
}

export function checkFqdn(report: Report, path: FieldPath, host: string): boolean {
  return check(report, path, fqdnProblem(host));
}

export function checkWildcardDomain(report: Report, path: FieldPath, host: string): boolean {
  return check(report, path, wildcardDomainProblem(host));
}

function check(report: Report, path: FieldPath, problem: string | undefined): boolean {
  if (problem !== undefined) report.invalid(path, problem);
  return problem === undefined;
}

export function checkIp(report: Report, path: FieldPath, text: string): void {
  if (!parseIp(text)) report.invalid(path, `${quote(text)} is not an IP address`);
}

/** An IP address or a CIDR range. */
export function checkIpOrCidr(report: Report, path: FieldPath, text: string): void {
  if (text.includes('/') ? !parseCidr(text) : !parseIp(text))
    report.invalid(path, `${quote(text)} is not an IP address or CIDR range`);
}

/** `host:port`, with IPv6 addresses in brackets. Returns why it is not, or undefined. */
export function hostPortProblem(address: string): string | undefined {
  const match = /^(\[[^\]]*\]|[^:]*):(.*)$/.exec(address);
  if (!match) return `${quote(address)} needs the form host:port`;
  const [, host = '', port = ''] = match;
  if (!/^\d+$/.test(port) || !isPort(Number(port)))
    return `${quote(address)} has no port between 1 and 65535`;
  if (host.startsWith('['))
    return parseIp(host.slice(1, -1)) ? undefined : `${quote(host)} is not an IPv6 address`;
  return parseIp(host) ? undefined : fqdnProblem(host);
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

export function checkPort(report: Report, path: FieldPath, port: number | undefined): void {
  if (!isPort(port ?? 0)) report.invalid(path, `${port ?? 0} is no port: use 1 to 65535`);
}

import { parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { gatewayHostProblem, isDnsLabel } from './hosts.ts';

/** `kubernetes-gateway`: a Gateway made from Gateway API objects, whose listener may have no routes at all (`~`). */
export type HostOwner = 'gateway' | 'kubernetes-gateway' | 'sidecar';

/** `namespace/host` of a Gateway's server (namespace optional) or of a Sidecar's egress listener (required). */
export function checkNamespacedHost(report: Report, path: FieldPath, text: string, owner: HostOwner): void {
  const parts = text.split('/');
  if (parts.length > 2 || (parts.length === 1 && owner === 'sidecar')) {
    report.invalid(path, `${quote(text)} needs the form namespace/host, such as */foo.example.com`);
    return;
  }
  const [namespace, host = ''] = parts.length === 2 ? parts : [undefined, text];
  if (namespace !== undefined && !isNamespace(namespace, owner))
    report.invalid(path, `${quote(namespace)} is no namespace; use a name, . (the own one) or * (all)`);
  checkHost(report, path, host, owner);
}

function isNamespace(text: string, owner: HostOwner): boolean {
  if (text === '*' || text === '.') return true;
  if (owner === 'kubernetes-gateway' && text === '~') return true;
  // A Sidecar may import nothing (`~`), or all but some namespace (`~name`).
  if (owner === 'sidecar' && text.startsWith('~')) return text === '~' || isLowerLabel(text.slice(1));
  return isDnsLabel(text);
}

function isLowerLabel(text: string): boolean {
  return isDnsLabel(text) && text === text.toLowerCase();
}

function checkHost(report: Report, path: FieldPath, host: string, owner: HostOwner): void {
  if (host.startsWith('*') && host !== '*' && !host.startsWith('*.')) {
    report.invalid(path, `${quote(host)}: a wildcard must be a whole label, as in *.example.com`);
    return;
  }
  if (owner !== 'sidecar' && parseIp(host)) return;
  const problem = gatewayHostProblem(host, owner !== 'sidecar');
  if (problem !== undefined) report.invalid(path, problem);
}

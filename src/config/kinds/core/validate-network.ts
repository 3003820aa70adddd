import { parseIp } from '../../../kit/ip.ts';
import { type FieldPath, rootPath } from '../../field-path.ts';
import type { Issue } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { createReport, quote, type Report } from '../../report.ts';
import { noteProtocol } from '../protocol-notes.ts';

interface ServiceSpec {
  type?: string;
  clusterIP?: string;
  externalName?: string;
  externalIPs?: string[];
  ports?: {
    name?: string;
    port: number;
    protocol?: string;
    appProtocol?: string;
    targetPort?: number | string;
  }[];
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const HOST = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?$/;

/** Rules of Services beyond their schema, as Kubernetes has them. */
export function validateService(object: ConfigObject): Issue[] {
  const report = createReport();
  const path = rootPath.field('spec');
  const spec = (object.spec ?? {}) as ServiceSpec;
  const ports = spec.ports ?? [];
  if (spec.type === 'ExternalName') {
    if (!spec.externalName)
      report.required(path.field('externalName'), 'an ExternalName service needs a host name');
    else if (!HOST.test(spec.externalName.toLowerCase()) || spec.externalName.length > 253)
      report.invalid(path.field('externalName'), `${quote(spec.externalName)} is not a host name`);
  } else if (ports.length === 0 && spec.clusterIP !== 'None') {
    report.required(
      path.field('ports'),
      'a service needs at least one port, unless it is headless (clusterIP: None)',
    );
  }
  if (spec.clusterIP && spec.clusterIP !== 'None' && !parseIp(spec.clusterIP))
    report.invalid(path.field('clusterIP'), `${quote(spec.clusterIP)} is neither an IP address nor None`);
  for (const [i, ip] of (spec.externalIPs ?? []).entries())
    if (!parseIp(ip)) report.invalid(path.field('externalIPs').index(i), `${quote(ip)} is not an IP address`);
  validatePortNames(ports, path.field('ports'), report);
  return report.issues;
}

function validatePortNames(ports: NonNullable<ServiceSpec['ports']>, path: FieldPath, report: Report): void {
  const seen = new Set<string>();
  for (const [i, { name, targetPort, appProtocol }] of ports.entries()) {
    const place = path.index(i);
    noteProtocol(report, place, appProtocol || name);
    if (name === undefined || name === '') {
      if (ports.length > 1)
        report.required(place.field('name'), 'is required where a service has several ports');
    } else if (!LABEL.test(name)) {
      report.invalid(
        place.field('name'),
        `${quote(name)} must be lower case letters, digits and -, at most 63`,
      );
    } else if (seen.has(name)) {
      report.error(place.field('name'), 'FieldValueDuplicate', `another port is named ${quote(name)}`);
    }
    seen.add(name ?? '');
    if (typeof targetPort === 'number' && (targetPort < 1 || targetPort > 65535))
      report.invalid(place.field('targetPort'), `${targetPort} is no port: use 1 to 65535`);
    if (typeof targetPort === 'string' && !/^(?=.*[a-z])[a-z0-9](-?[a-z0-9])*$/.test(targetPort))
      report.invalid(
        place.field('targetPort'),
        `${quote(targetPort)} is no port name; for a number leave the quotes out`,
      );
  }
}

interface EndpointSliceFields extends ConfigObject {
  addressType?: string;
  endpoints?: { addresses?: string[] }[];
}

export function validateEndpointSlice(object: ConfigObject): Issue[] {
  const report = createReport();
  const { addressType, endpoints } = object as EndpointSliceFields;
  for (const [i, endpoint] of (endpoints ?? []).entries()) {
    const path = rootPath.field('endpoints').index(i).field('addresses');
    if (!endpoint.addresses?.length) report.required(path, 'an endpoint needs at least one address');
    for (const [k, address] of (endpoint.addresses ?? []).entries()) {
      if (!isAddress(addressType, address))
        report.invalid(path.index(k), `${quote(address)} is not of the slice's addressType ${addressType}`);
    }
  }
  return report.issues;
}

function isAddress(type: string | undefined, address: string): boolean {
  if (type === 'IPv4') return parseIp(address)?.version === 4;
  if (type === 'IPv6') return parseIp(address)?.version === 6;
  return HOST.test(address);
}

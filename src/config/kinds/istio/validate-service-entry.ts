import type {
  ServiceEntryEndpoints,
  ServiceEntrySpec,
} from '../../../../gen/crd/types/istio/service-entry.ts';
import { parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { noteProtocol } from '../protocol-notes.ts';
import { checkExportTo, checkLabels, checkSelector, each, eachEntry, specValidator } from './common.ts';
import { checkFqdn, checkIpOrCidr, checkPort, checkWildcardDomain } from './hosts.ts';
import { checkPortName, checkProtocol, isHttp, parseProtocol } from './ports.ts';

export const validateServiceEntry = specValidator<ServiceEntrySpec>((spec, path, report) => {
  const resolution = spec.resolution ?? 'NONE';
  checkHosts(report, path.field('hosts'), spec);
  if (spec.workloadSelector) {
    checkSelector(report, path.field('workloadSelector').field('labels'), spec.workloadSelector.labels);
    if (spec.endpoints?.length) report.invalid(path, 'set only one of workloadSelector, endpoints');
  }
  each(spec.addresses, path.field('addresses'), (address, place) => checkIpOrCidr(report, place, address));
  checkPorts(report, path.field('ports'), spec);
  each(spec.endpoints, path.field('endpoints'), (endpoint, place) =>
    checkEndpoint(report, place, endpoint, spec),
  );
  resolutionRules[resolution](report, path, spec);
  checkExportTo(report, path.field('exportTo'), spec.exportTo, { allowNone: true });
});

function checkHosts(report: Report, path: FieldPath, spec: ServiceEntrySpec): void {
  if (spec.hosts.length === 0) report.required(path, 'a ServiceEntry needs at least one host');
  each(spec.hosts, path, (host, place) => {
    if (host === '*') report.invalid(place, '* would take every host; name hosts or use *.domain');
    else checkWildcardDomain(report, place, host);
  });
}

function checkPorts(report: Report, path: FieldPath, spec: ServiceEntrySpec): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  each(spec.ports, path, (port, place) => {
    if (names.has(port.name))
      report.error(place.field('name'), 'FieldValueDuplicate', `another port is named ${quote(port.name)}`);
    if (numbers.has(port.number))
      report.error(place.field('number'), 'FieldValueDuplicate', `port ${port.number} is there twice`);
    names.add(port.name);
    numbers.add(port.number);
    checkPortName(report, place.field('name'), port.name);
    if (port.protocol) checkProtocol(report, place.field('protocol'), port.protocol);
    noteProtocol(report, place, port.protocol);
    checkPort(report, place.field('number'), port.number);
    if (port.targetPort) checkPort(report, place.field('targetPort'), port.targetPort);
  });
  if (!spec.ports?.length) report.warn(path, 'without ports nothing of the mesh calls these hosts by name');
}

function checkEndpoint(
  report: Report,
  path: FieldPath,
  endpoint: ServiceEntryEndpoints,
  spec: ServiceEntrySpec,
): void {
  const names = new Set(spec.ports?.map((port) => port.name));
  eachEntry(endpoint.ports, path.field('ports'), (name, number, place) => {
    if (!names.has(name)) report.invalid(place, `${quote(name)} is none of the ServiceEntry's ports`);
    checkPortName(report, place, name);
    checkPort(report, place, number);
  });
  checkLabels(report, path.field('labels'), endpoint.labels);
}

type Rules = (report: Report, path: FieldPath, spec: ServiceEntrySpec) => void;

const none: Rules = (report, path, spec) => {
  if (spec.endpoints?.length)
    report.invalid(
      path.field('endpoints'),
      'resolution NONE goes to the address that was called; use STATIC or DNS for endpoints',
    );
};

const fixed: Rules = (report, path, spec) => {
  each(spec.endpoints, path.field('endpoints'), ({ address = '', ports, network }, place) => {
    if (address.startsWith('unix://')) {
      checkSocket(report, place.field('address'), address.slice('unix://'.length));
      if (spec.ports?.length !== 1)
        report.invalid(path.field('ports'), 'a unix socket serves exactly one port');
      if (ports && Object.keys(ports).length > 0)
        report.invalid(place.field('ports'), 'a unix socket has no ports');
    } else if (address === '' ? !network : !parseIp(address)) {
      report.invalid(
        place.field('address'),
        `${quote(address)} is not an IP address; use resolution DNS for names`,
      );
    }
  });
};

const dns: Rules = (report, path, spec) => {
  if (!spec.endpoints?.length)
    each(spec.hosts, path.field('hosts'), (host, place) => {
      if (host.startsWith('*'))
        report.invalid(
          place,
          `${quote(host)} cannot be looked up: name endpoints, or use resolution DYNAMIC_DNS or NONE`,
        );
    });
  each(spec.endpoints, path.field('endpoints'), ({ address = '', network }, place) => {
    if (address === '' && network) return;
    if (!parseIp(address)) checkFqdn(report, place.field('address'), address);
  });
};

const dnsRoundRobin: Rules = (report, path, spec) => {
  dns(report, path, spec);
  if ((spec.endpoints?.length ?? 0) > 1)
    report.invalid(
      path.field('endpoints'),
      'resolution DNS_ROUND_ROBIN takes at most one endpoint; use DNS for several',
    );
};

const dynamicDns: Rules = (report, path, spec) => {
  each(spec.hosts, path.field('hosts'), (host, place) => {
    if (!host.startsWith('*'))
      report.invalid(
        place,
        `${quote(host)} needs no DYNAMIC_DNS: use resolution DNS, or a wildcard such as *.example.com`,
      );
  });
  if (spec.addresses?.length)
    report.invalid(
      path.field('addresses'),
      'resolution DYNAMIC_DNS goes by names only; remove the addresses',
    );
  if (spec.endpoints?.length || spec.workloadSelector)
    report.invalid(path.field('endpoints'), 'resolution DYNAMIC_DNS looks endpoints up itself; remove them');
  each(spec.ports, path.field('ports'), (port, place) => {
    const protocol = parseProtocol(port.protocol);
    if (!isHttp(protocol) && protocol !== 'TLS' && protocol !== 'HTTPS')
      report.error(
        place.field('protocol'),
        'FieldValueNotSupported',
        'resolution DYNAMIC_DNS needs HTTP, HTTP2, GRPC or TLS, which carry the name',
      );
  });
};

const resolutionRules: Record<NonNullable<ServiceEntrySpec['resolution']>, Rules> = {
  NONE: none,
  STATIC: fixed,
  DNS: dns,
  DNS_ROUND_ROBIN: dnsRoundRobin,
  DYNAMIC_DNS: dynamicDns,
};

/** An absolute path, or `@name` of an abstract socket. */
export function checkSocket(report: Report, path: FieldPath, socket: string): void {
  if (!/^[/@]/.test(socket) || socket.endsWith('/'))
    report.invalid(path, `${quote(socket)} is not an absolute path of a socket`);
}

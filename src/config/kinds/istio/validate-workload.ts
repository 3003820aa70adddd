import type { WorkloadEntrySpec } from '../../../../gen/crd/types/istio/workload-entry.ts';
import type {
  WorkloadGroupProbe,
  WorkloadGroupSpec,
} from '../../../../gen/crd/types/istio/workload-group.ts';
import { parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkLabels, checkNotNegative, each, eachEntry, specValidator } from './common.ts';
import { checkFqdn, checkPort } from './hosts.ts';
import { checkPortName } from './ports.ts';
import { checkSocket } from './validate-service-entry.ts';

export const validateWorkloadEntry = specValidator<WorkloadEntrySpec>((spec, path, report) => {
  const { address = '', network } = spec;
  const place = path.field('address');
  if (address === '') {
    if (network) report.warn(place, 'is not set: the workload is reached through a gateway of its network');
    else report.required(place, 'is required, unless network is set');
  } else if (address.startsWith('unix://')) {
    checkSocket(report, place, address.slice('unix://'.length));
    if (spec.ports && Object.keys(spec.ports).length > 0)
      report.invalid(path.field('ports'), 'a unix socket has no ports');
  } else if (!parseIp(address)) checkFqdn(report, place, address);
  checkTemplate(report, path, spec);
});

export const validateWorkloadGroup = specValidator<WorkloadGroupSpec>((spec, path, report) => {
  checkTemplate(report, path.field('template'), spec.template);
  checkLabels(report, path.field('metadata').field('labels'), spec.metadata?.labels);
  checkProbe(report, path.field('probe'), spec.probe);
});

function checkTemplate(report: Report, path: FieldPath, spec: WorkloadEntrySpec): void {
  checkLabels(report, path.field('labels'), spec.labels);
  eachEntry(spec.ports, path.field('ports'), (name, number, place) => {
    checkPortName(report, place, name);
    checkPort(report, place, number);
  });
}

function checkProbe(report: Report, path: FieldPath, probe: WorkloadGroupProbe | undefined): void {
  if (!probe) return;
  for (const field of [
    'failureThreshold',
    'initialDelaySeconds',
    'periodSeconds',
    'successThreshold',
    'timeoutSeconds',
  ] as const)
    checkNotNegative(report, path.field(field), probe[field]);
  const { httpGet, tcpSocket, exec, grpc } = probe;
  if (httpGet) {
    const place = path.field('httpGet');
    checkPort(report, place.field('port'), httpGet.port);
    if (httpGet.scheme && !['HTTP', 'HTTPS'].includes(httpGet.scheme.toUpperCase()))
      report.error(
        place.field('scheme'),
        'FieldValueNotSupported',
        `${quote(httpGet.scheme)} is not supported; use HTTP or HTTPS`,
      );
    each(httpGet.httpHeaders, place.field('httpHeaders'), ({ name }, at) => {
      if (!name) report.required(at.field('name'), 'a header needs a name');
    });
  } else if (tcpSocket) checkPort(report, path.field('tcpSocket').field('port'), tcpSocket.port);
  else if (exec) {
    if (exec.command.length === 0) report.required(path.field('exec').field('command'), 'needs a command');
  } else if (grpc) checkPort(report, path.field('grpc').field('port'), grpc.port);
  else report.required(path, 'needs httpGet, tcpSocket, exec or grpc');
}

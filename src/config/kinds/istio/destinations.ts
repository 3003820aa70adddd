import type {
  VirtualServiceHttpMirror,
  VirtualServiceHttpRoute,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { each } from './common.ts';
import { checkFqdn, checkPort, checkWildcardDomain, isDnsLabel } from './hosts.ts';

export function checkDestination(
  report: Report,
  path: FieldPath,
  destination: VirtualServiceHttpMirror,
): void {
  const { host = '', subset, port } = destination;
  if (host === '*') report.invalid(path.field('host'), '* is no destination: name a host');
  else checkWildcardDomain(report, path.field('host'), host);
  checkSubsetName(report, path.field('subset'), subset);
  if (port) checkPort(report, path.field('port').field('number'), port.number);
}

export function checkSubsetName(report: Report, path: FieldPath, name: string | undefined): void {
  if (name && !isDnsLabel(name))
    report.invalid(path, `${quote(name)} is no subset name: letters, digits and -, at most 63`);
}

/** Weighted destinations; a single one gets everything, whatever its weight. */
export function checkRoutes(
  report: Report,
  path: FieldPath,
  routes: readonly Pick<VirtualServiceHttpRoute, 'destination' | 'weight'>[] | undefined,
): void {
  let total = 0;
  each(routes, path, ({ destination, weight = 0 }, place) => {
    if (destination) checkDestination(report, place.field('destination'), destination);
    else report.required(place.field('destination'), 'is required');
    if (weight < 0) report.invalid(place.field('weight'), `${weight} must not be negative`);
    total += weight;
  });
  if ((routes?.length ?? 0) > 1 && total === 0)
    report.invalid(path, 'all weights are 0: give at least one destination a weight');
}

/** `name`, `namespace/name`, or `mesh`. */
export function checkGatewayNames(
  report: Report,
  path: FieldPath,
  gateways: readonly string[] | undefined,
): void {
  each(gateways, path, (gateway, place) => {
    const parts = gateway.split('/');
    if (parts.length === 1) {
      checkFqdn(report, place, gateway);
      return;
    }
    if (parts.length > 2) {
      report.invalid(place, `${quote(gateway)} needs the form namespace/name`);
      return;
    }
    const [namespace = '', name = ''] = parts;
    if (namespace !== '.' && !isDnsLabel(namespace))
      report.invalid(place, `${quote(namespace)} is not a namespace`);
    if (!isDnsLabel(name)) checkFqdn(report, place, name);
  });
}

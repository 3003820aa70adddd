import { parseCidr, parseIp } from '../../../kit/ip.ts';
import { isObject } from '../../../kit/json.ts';
import { type FieldPath, rootPath } from '../../field-path.ts';
import type { Issue } from '../../kind.ts';
import { createReport, quote, type Report } from '../../report.ts';
import { each } from './common.ts';
import { checkFqdn, checkPort } from './hosts.ts';

/** Checks MeshNetworks (JSON form): how endpoints of other networks are reached. */
export function validateMeshNetworks(config: Record<string, unknown>): Issue[] {
  const report = createReport();
  for (const name of Object.keys(config))
    if (name !== 'networks')
      report.error(rootPath.field(name), 'UnknownField', 'is no field of MeshNetworks');
  const { networks } = config;
  if (networks !== undefined && !isObject(networks))
    report.error(rootPath.field('networks'), 'FieldValueTypeInvalid', 'must be an object');
  else
    for (const [name, network] of Object.entries(networks ?? {}))
      checkNetwork(report, rootPath.field('networks').field(name), network);
  return report.issues;
}

function checkNetwork(report: Report, path: FieldPath, network: unknown): void {
  if (!isObject(network)) {
    report.error(path, 'FieldValueTypeInvalid', 'must be an object');
    return;
  }
  each(
    records(report, path.field('endpoints'), network.endpoints),
    path.field('endpoints'),
    (endpoint, place) => {
      const { fromCidr, fromRegistry } = endpoint;
      if (fromCidr === undefined && fromRegistry === undefined)
        report.required(place, 'needs fromCidr or fromRegistry');
      if (fromCidr !== undefined && (typeof fromCidr !== 'string' || !parseCidr(fromCidr)))
        report.invalid(place.field('fromCidr'), `${quote(fromCidr)} is not a CIDR range`);
      if (fromRegistry !== undefined && (typeof fromRegistry !== 'string' || fromRegistry === ''))
        report.invalid(place.field('fromRegistry'), 'must be the name of a registry');
    },
  );
  each(
    records(report, path.field('gateways'), network.gateways),
    path.field('gateways'),
    (gateway, place) => {
      const { registryServiceName: service, address, port } = gateway;
      if (typeof service === 'string') checkFqdn(report, place.field('registryServiceName'), service);
      else if (typeof address !== 'string') report.required(place, 'needs address or registryServiceName');
      else if (!parseIp(address)) checkFqdn(report, place.field('address'), address);
      checkPort(report, place.field('port'), typeof port === 'number' ? port : 0);
    },
  );
}

function records(report: Report, path: FieldPath, value: unknown): Record<string, unknown>[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every(isObject)) return value;
  report.error(path, 'FieldValueTypeInvalid', 'must be a list of objects');
  return [];
}

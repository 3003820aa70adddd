import { parseIp } from '../../../kit/ip.ts';
import { isObject } from '../../../kit/json.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkNotNegative, each } from './common.ts';
import { checkTimeout } from './durations.ts';
import { checkPort, fqdnProblem, isDnsLabel } from './hosts.ts';

type Json = Record<string, unknown>;

/** The services that a provider may be; each is reached at `service` and `port`. */
const SERVICES = [
  'envoyExtAuthzHttp',
  'envoyExtAuthzGrpc',
  'zipkin',
  'lightstep',
  'datadog',
  'skywalking',
  'opencensus',
  'opentelemetry',
  'envoyHttpAls',
  'envoyTcpAls',
  'envoyOtelAls',
];
const OTHERS = ['stackdriver', 'prometheus', 'envoyFileAccessLog', 'sds'];

/** Why a text names no service: an IP address, a host, or `namespace/host`. Ports are given apart. */
export function providerServiceProblem(service: string): string | undefined {
  if (service === '') return 'is required: the host of the service';
  if (parseIp(service)) return undefined;
  const parts = service.split('/');
  const [namespace, host = ''] = parts.length === 2 ? parts : [undefined, service];
  if (parts.length > 2) return `${quote(service)} needs the form namespace/host`;
  if (namespace !== undefined && !isDnsLabel(namespace)) return `${quote(namespace)} is not a namespace`;
  return fqdnProblem(host);
}

export function checkExtensionProviders(
  report: Report,
  path: FieldPath,
  providers: readonly Json[] | undefined,
): void {
  const names = new Set<string>();
  each(providers, path, (provider, place) => {
    const name = typeof provider.name === 'string' ? provider.name : '';
    if (name === '') report.required(place.field('name'), 'a provider needs a name');
    if (names.has(name))
      report.error(place.field('name'), 'FieldValueDuplicate', `another provider is named ${quote(name)}`);
    names.add(name);
    const kinds = [...SERVICES, ...OTHERS].filter((kind) => isObject(provider[kind]));
    if (kinds.length === 0) report.required(place, `needs one of ${[...SERVICES, ...OTHERS].join(', ')}`);
    if (kinds.length > 1) report.invalid(place, `set only one of ${kinds.join(', ')}`);
    for (const kind of kinds) checkProvider(report, place.field(kind), kind, provider[kind] as Json);
  });
}

function checkProvider(report: Report, path: FieldPath, kind: string, provider: Json): void {
  if (typeof provider.maxTagLength === 'number')
    checkNotNegative(report, path.field('maxTagLength'), provider.maxTagLength);
  if (typeof provider.timeout === 'string') checkTimeout(report, path.field('timeout'), provider.timeout);
  if (!SERVICES.includes(kind)) return;
  const problem = providerServiceProblem(String(provider.service ?? ''));
  if (problem !== undefined) report.invalid(path.field('service'), problem);
  checkPort(report, path.field('port'), typeof provider.port === 'number' ? provider.port : 0);
  if (kind === 'envoyExtAuthzHttp' || kind === 'envoyExtAuthzGrpc') checkAuthorizer(report, path, provider);
}

function checkAuthorizer(report: Report, path: FieldPath, provider: Json): void {
  const { statusOnError, pathPrefix } = provider;
  if (typeof statusOnError === 'string' && statusOnError !== '' && !/^[1-5]\d\d$/.test(statusOnError))
    report.invalid(path.field('statusOnError'), `${quote(statusOnError)} is no HTTP status such as "403"`);
  if (typeof pathPrefix === 'string' && pathPrefix !== '' && !/^\/[^\s?#]*$/.test(pathPrefix))
    report.invalid(path.field('pathPrefix'), `${quote(pathPrefix)} must be a path that begins with /`);
  for (const field of [
    'includeRequestHeadersInCheck',
    'includeHeadersInCheck',
    'headersToUpstreamOnAllow',
    'headersToDownstreamOnDeny',
    'headersToDownstreamOnAllow',
  ]) {
    const names = provider[field];
    if (!Array.isArray(names)) continue;
    each(names as unknown[], path.field(field), (name, place) => {
      if (typeof name !== 'string' || name === '') report.invalid(place, 'must be the name of a header');
    });
  }
}

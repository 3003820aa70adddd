import type {
  VirtualServiceSpec,
  VirtualServiceTcp,
  VirtualServiceTls,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkExportTo, checkLabels, each, specValidator } from './common.ts';
import { checkGatewayNames, checkRoutes } from './destinations.ts';
import { hostsOverlap, isSubsetHost } from './host-match.ts';
import { checkIpOrCidr, checkPort, gatewayHostProblem, isDnsLabel, wildcardDomainProblem } from './hosts.ts';
import { checkHttpRoute } from './virtual-service-http.ts';

export const validateVirtualService = specValidator<VirtualServiceSpec>((spec, path, report) => {
  const { hosts = [], gateways = [], http = [], tcp = [], tls = [] } = spec;
  const forMesh = gateways.length === 0 || gateways.includes('mesh');
  const forGateway = gateways.some((gateway) => gateway !== 'mesh');
  const delegated = hosts.length === 0;
  checkGatewayNames(report, path.field('gateways'), gateways);
  checkHosts(report, path.field('hosts'), hosts, forMesh, tls.length > 0);
  if (delegated) checkDelegated(report, path, spec);
  if (http.length + tcp.length + tls.length === 0)
    report.required(path, 'a VirtualService needs http, tcp or tls routes');
  if (!forGateway) checkClaims(report, path.field('http'), http);
  each(http, path.field('http'), (route, place) => checkHttpRoute(report, place, route, { delegated }));
  warnUnreachable(report, path.field('http'), http);
  each(tls, path.field('tls'), (route, place) => checkTlsRoute(report, place, route, hosts));
  each(tcp, path.field('tcp'), (route, place) => checkTcpRoute(report, place, route));
  checkExportTo(report, path.field('exportTo'), spec.exportTo);
});

function checkHosts(
  report: Report,
  path: FieldPath,
  hosts: readonly string[],
  forMesh: boolean,
  sni: boolean,
): void {
  let valid = true;
  each(hosts, path, (host, place) => {
    const problem = forMesh ? wildcardDomainProblem(host) : gatewayHostProblem(host, sni);
    if (problem !== undefined && !parseIp(host)) {
      report.invalid(place, problem);
      valid = false;
    } else if (forMesh && host === '*') {
      report.invalid(place, '* is allowed for gateways only; in the mesh, name hosts or use *.domain');
      valid = false;
    }
  });
  if (!valid) return;
  for (const [i, host] of hosts.entries()) {
    const other = hosts.slice(0, i).find((earlier) => hostsOverlap(earlier, host));
    if (other !== undefined)
      report.error(path.index(i), 'FieldValueDuplicate', `${quote(host)} overlaps with ${quote(other)}`);
  }
}

function checkDelegated(report: Report, path: FieldPath, spec: VirtualServiceSpec): void {
  if (spec.gateways?.length)
    report.error(
      path.field('gateways'),
      'FieldValueForbidden',
      'a VirtualService without hosts takes its gateways from who delegates to it',
    );
  for (const name of ['tcp', 'tls'] as const)
    if (spec[name]?.length)
      report.error(
        path.field(name),
        'FieldValueForbidden',
        'a VirtualService without hosts may have http routes only',
      );
}

/** Routing by JWT claims needs the token checked first, which only gateways do before they route. */
function checkClaims(report: Report, path: FieldPath, http: NonNullable<VirtualServiceSpec['http']>): void {
  each(http, path, (route, place) =>
    each(route.match, place.field('match'), (match, at) => {
      for (const field of ['headers', 'withoutHeaders'] as const)
        for (const name of Object.keys(match[field] ?? {}))
          if (name.startsWith('@request.auth.claims'))
            report.invalid(at.field(field).field(name), 'routing by JWT claims works at gateways only');
    }),
  );
}

/** Routes after one that takes everything are never reached. */
function warnUnreachable(
  report: Report,
  path: FieldPath,
  http: NonNullable<VirtualServiceSpec['http']>,
): void {
  const first = http.findIndex(
    ({ match }) => !match?.length || match.some((one) => Object.keys(one).every((key) => key === 'name')),
  );
  if (first < 0) return;
  for (let i = first + 1; i < http.length; i++)
    report.warn(path.index(i), `is never reached: http[${first}] takes every request`);
}

function checkTlsRoute(
  report: Report,
  path: FieldPath,
  tls: VirtualServiceTls,
  hosts: readonly string[],
): void {
  if (tls.match.length === 0) report.required(path.field('match'), 'a TLS route needs at least one match');
  each(tls.match, path.field('match'), (match, place) => {
    if (match.sniHosts.length === 0) report.required(place.field('sniHosts'), 'needs at least one host');
    each(match.sniHosts, place.field('sniHosts'), (sni, at) => {
      const problem = gatewayHostProblem(sni, true);
      if (problem !== undefined && !parseIp(sni)) report.invalid(at, problem);
      else if (!hosts.some((host) => isSubsetHost(sni, host)))
        report.invalid(at, `${quote(sni)} is none of the VirtualService's hosts`);
    });
    checkL4Match(report, place, match);
  });
  checkL4Route(report, path, tls.route);
}

function checkTcpRoute(report: Report, path: FieldPath, tcp: VirtualServiceTcp): void {
  each(tcp.match, path.field('match'), (match, place) => {
    if (match.sourceSubnet) checkIpOrCidr(report, place.field('sourceSubnet'), match.sourceSubnet);
    checkL4Match(report, place, match);
  });
  checkL4Route(report, path, tcp.route);
}

function checkL4Match(
  report: Report,
  path: FieldPath,
  match: {
    destinationSubnets?: string[];
    port?: number;
    sourceLabels?: Record<string, string>;
    gateways?: string[];
    sourceNamespace?: string;
  },
): void {
  each(match.destinationSubnets, path.field('destinationSubnets'), (subnet, at) =>
    checkIpOrCidr(report, at, subnet),
  );
  if (match.port !== undefined && match.port !== 0) checkPort(report, path.field('port'), match.port);
  checkLabels(report, path.field('sourceLabels'), match.sourceLabels);
  checkGatewayNames(report, path.field('gateways'), match.gateways);
  if (match.sourceNamespace && !isDnsLabel(match.sourceNamespace))
    report.invalid(path.field('sourceNamespace'), `${quote(match.sourceNamespace)} is not a namespace`);
}

function checkL4Route(report: Report, path: FieldPath, route: VirtualServiceTcp['route']): void {
  if (!route?.length) report.required(path.field('route'), 'needs at least one destination');
  checkRoutes(report, path.field('route'), route);
}

import type { GatewayServers, GatewaySpec } from '../../../../gen/crd/types/istio/gateway.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkSelector, each, specValidator } from './common.ts';
import { checkIp, checkPort } from './hosts.ts';
import { checkPortName, checkProtocol, isTls, parseProtocol } from './ports.ts';
import { checkNamespacedHost, type HostOwner } from './server-hosts.ts';
import { checkServerTls } from './server-tls.ts';

/** Marks a Gateway that was made from Gateway API objects. */
const SEMANTICS = 'internal.istio.io/gateway-semantics';

export const validateGateway = specValidator<GatewaySpec>((spec, path, report, { annotations }) => {
  const owner = annotations[SEMANTICS] === 'gateway' ? 'kubernetes-gateway' : 'gateway';
  const servers = spec.servers ?? [];
  if (servers.length === 0) report.required(path.field('servers'), 'a Gateway needs at least one server');
  if (spec.selector && Object.keys(spec.selector).length > 0)
    checkSelector(report, path.field('selector'), spec.selector);
  const names = new Set<string>();
  const portNames = new Set<string>();
  each(servers, path.field('servers'), (server, place) => {
    checkServer(report, place, server, owner);
    checkUnique(report, place.field('name'), server.name, names);
    checkUnique(report, place.field('port').field('name'), server.port.name, portNames);
  });
});

function checkUnique(report: Report, path: FieldPath, name: string | undefined, seen: Set<string>): void {
  if (!name) return;
  if (seen.has(name)) report.error(path, 'FieldValueDuplicate', `another server has the name ${quote(name)}`);
  seen.add(name);
}

function checkServer(report: Report, path: FieldPath, server: GatewayServers, owner: HostOwner): void {
  if (server.hosts.length === 0)
    report.required(path.field('hosts'), 'a server needs at least one host; use * for all');
  each(server.hosts, path.field('hosts'), (host, place) => checkNamespacedHost(report, place, host, owner));
  const bind = server.bind ?? '';
  const socket = bind.startsWith('unix://');
  if (bind !== '' && !socket) checkIp(report, path.field('bind'), bind);
  const { port } = server;
  checkPortName(report, path.field('port').field('name'), port.name);
  checkProtocol(report, path.field('port').field('protocol'), port.protocol);
  if (!socket || port.number !== 0) checkPort(report, path.field('port').field('number'), port.number);
  checkServerTls(report, path.field('tls'), server.tls);
  checkTlsPort(report, path, server);
}

/** Protocols with TLS need settings for it, others take none beyond the redirect. */
export function checkTlsPort(
  report: Report,
  path: FieldPath,
  server: { port: { protocol?: string }; tls?: GatewayServers['tls'] },
): void {
  const { tls, port } = server;
  if (isTls(parseProtocol(port.protocol))) {
    if (!tls) report.required(path.field('tls'), `a port with protocol ${port.protocol} needs TLS settings`);
    else if (tls.httpsRedirect)
      report.warn(
        path.field('tls').field('httpsRedirect'),
        'a port with TLS has nothing to redirect from; use it on the HTTP port',
      );
  } else if (tls && Object.keys(tls).some((name) => name !== 'httpsRedirect')) {
    report.invalid(
      path.field('tls'),
      `a port with protocol ${port.protocol} takes no TLS settings; use HTTPS or TLS`,
    );
  }
}

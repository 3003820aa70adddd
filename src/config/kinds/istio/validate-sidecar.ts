import type {
  SidecarEgress,
  SidecarIngress,
  SidecarOutboundTrafficPolicy,
  SidecarSpec,
} from '../../../../gen/crd/types/istio/sidecar.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkSelector, each, specValidator } from './common.ts';
import { checkDestination } from './destinations.ts';
import { checkIp, checkPort, isPort } from './hosts.ts';
import { checkProtocol, isHttp, parseProtocol } from './ports.ts';
import { checkNamespacedHost } from './server-hosts.ts';
import { checkServerTls } from './server-tls.ts';
import { checkConnectionPool } from './traffic-policy.ts';
import { checkTlsPort } from './validate-gateway.ts';
import { checkSocket } from './validate-service-entry.ts';

export const validateSidecar = specValidator<SidecarSpec>((spec, path, report, { namespace }) => {
  const { egress = [], ingress = [], outboundTrafficPolicy, inboundConnectionPool } = spec;
  if (egress.length === 0 && ingress.length === 0 && !outboundTrafficPolicy && !inboundConnectionPool)
    report.required(path, 'a Sidecar needs egress, ingress, outboundTrafficPolicy or inboundConnectionPool');
  checkSelector(report, path.field('workloadSelector').field('labels'), spec.workloadSelector?.labels);
  checkConnectionPool(report, path.field('inboundConnectionPool'), inboundConnectionPool);
  checkIngress(report, path.field('ingress'), ingress);
  checkEgress(report, path.field('egress'), egress, namespace);
  checkEgressProxy(report, path.field('outboundTrafficPolicy').field('egressProxy'), outboundTrafficPolicy);
});

function checkIngress(report: Report, path: FieldPath, ingress: readonly SidecarIngress[]): void {
  const ports = new Set<number>();
  each(ingress, path, (listener, place) => {
    const { port, bind, tls, defaultEndpoint, connectionPool } = listener;
    checkPort(report, place.field('port').field('number'), port.number);
    if (port.protocol) checkProtocol(report, place.field('port').field('protocol'), port.protocol);
    if (port.number !== undefined && ports.has(port.number))
      report.error(place.field('port'), 'FieldValueDuplicate', `port ${port.number} has a listener already`);
    ports.add(port.number ?? 0);
    if (bind) checkIp(report, place.field('bind'), bind);
    if (defaultEndpoint) checkDefaultEndpoint(report, place.field('defaultEndpoint'), defaultEndpoint);
    checkConnectionPool(report, place.field('connectionPool'), connectionPool);
    if (connectionPool?.http && port.protocol && !isHttp(parseProtocol(port.protocol)))
      report.warn(place.field('connectionPool').field('http'), `has no effect on a ${port.protocol} port`);
    if (tls) checkIngressTls(report, place, listener);
  });
}

/** Files only: a sidecar fetches no secrets by name for its own listeners. */
function checkIngressTls(report: Report, path: FieldPath, listener: SidecarIngress): void {
  const { tls } = listener;
  const place = path.field('tls');
  if (tls?.mode === 'AUTO_PASSTHROUGH' || tls?.mode === 'ISTIO_MUTUAL')
    report.error(
      place.field('mode'),
      'FieldValueNotSupported',
      `${tls.mode} is not possible at a sidecar's ingress`,
    );
  for (const field of ['credentialName', 'credentialNames', 'tlsCertificates'] as const)
    if (tls?.[field]?.length)
      report.error(
        place.field(field),
        'FieldValueNotSupported',
        'is not supported at a sidecar; give files by serverCertificate and privateKey',
      );
  if (tls?.httpsRedirect)
    report.error(place.field('httpsRedirect'), 'FieldValueNotSupported', 'is not supported at a sidecar');
  checkServerTls(report, place, tls);
  checkTlsPort(report, path, listener);
}

/** Where the application listens: an address of the machine itself, or a socket. */
function checkDefaultEndpoint(report: Report, path: FieldPath, endpoint: string): void {
  if (endpoint.startsWith('unix://')) {
    checkSocket(report, path, endpoint.slice('unix://'.length));
    return;
  }
  const match = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]):(\d+)$/.exec(endpoint);
  if (!match || !isPort(Number(match[2])))
    report.invalid(
      path,
      `${quote(endpoint)} must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH`,
    );
}

function checkEgress(
  report: Report,
  path: FieldPath,
  egress: readonly SidecarEgress[],
  namespace: string,
): void {
  const ports = new Set<number>();
  const sockets = new Set<string>();
  each(egress, path, (listener, place, i) => {
    const { port, bind = '', captureMode, hosts } = listener;
    if (!port && i !== egress.length - 1)
      report.invalid(place, 'the listener without a port takes all others, so it must be the last one');
    if (!port && bind !== '') report.required(place.field('port'), 'is required where bind is set');
    const socket = bind.startsWith('unix://');
    if (socket) {
      checkSocket(report, place.field('bind'), bind.slice('unix://'.length));
      if (captureMode && captureMode !== 'DEFAULT' && captureMode !== 'NONE')
        report.invalid(place.field('captureMode'), 'a socket cannot be captured; use NONE');
      if (sockets.has(bind))
        report.error(place.field('bind'), 'FieldValueDuplicate', 'has a listener already');
      sockets.add(bind);
    } else if (bind !== '') checkIp(report, place.field('bind'), bind);
    if (port && !socket) {
      checkPort(report, place.field('port').field('number'), port.number);
      if (ports.has(port.number ?? 0))
        report.error(
          place.field('port'),
          'FieldValueDuplicate',
          `port ${port.number} has a listener already`,
        );
      ports.add(port.number ?? 0);
    }
    if (port?.protocol) checkProtocol(report, place.field('port').field('protocol'), port.protocol);
    checkHosts(report, place.field('hosts'), hosts, namespace);
  });
}

function checkHosts(report: Report, path: FieldPath, hosts: readonly string[], namespace: string): void {
  if (hosts.length === 0)
    report.required(path, 'an egress listener needs at least one host; use */* for all');
  each(hosts, path, (host, place) => checkNamespacedHost(report, place, host, 'sidecar'));
  const included = hosts.filter((host) => !host.startsWith('~'));
  if (included.includes('*/*') && included.length > 1)
    report.warn(path, '*/* imports everything, so the other hosts say nothing');
  const all = new Set(
    included.filter((host) => host.endsWith('/*')).map((host) => own(host, namespace).slice(0, -2)),
  );
  each(hosts, path, (host, place) => {
    const full = own(host, namespace);
    if (!full.endsWith('/*') && all.has(full.split('/')[0] ?? ''))
      report.warn(place, 'is imported by the wildcard of its namespace already');
  });
}

function own(host: string, namespace: string): string {
  return host.startsWith('./') ? `${namespace}/${host.slice(2)}` : host;
}

function checkEgressProxy(
  report: Report,
  path: FieldPath,
  policy: SidecarOutboundTrafficPolicy | undefined,
): void {
  const proxy = policy?.egressProxy;
  if (!proxy) return;
  if (policy.mode !== 'ALLOW_ANY')
    report.invalid(path, 'takes traffic to unknown hosts, which needs mode: ALLOW_ANY');
  if (!proxy.port) report.required(path.field('port'), 'is required');
  if (proxy.host.includes('*'))
    report.invalid(path.field('host'), `${quote(proxy.host)} must be one host, without wildcard`);
  else checkDestination(report, path, proxy);
}

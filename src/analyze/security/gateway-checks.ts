import type { GatewaySpec as KubernetesGatewaySpec } from '../../../gen/crd/types/gateway-api/gateway.ts';
import type { HTTPRouteSpec } from '../../../gen/crd/types/gateway-api/http-route.ts';
import type { GatewaySpec } from '../../../gen/crd/types/istio/gateway.ts';
import { certificateFacts, parsePem } from '../../kit/certificate-facts.ts';
import { holdsLabels } from '../../kit/labels.ts';
import { kinds, type SourceObject } from '../analyzer.ts';
import { about, type Finding, type SecurityCheck, type SecurityView } from './finding.ts';

const day = 86_400_000;
/** A certificate that clients see is told of from here on. */
const warnDays = 30;

/** Listeners of Gateway API gateways. Those of waypoints are the mesh's own. */
export const kubernetesListeners: SecurityCheck = (view) =>
  view.all<KubernetesGatewaySpec>(kinds.kubernetesGateway).flatMap((source) => {
    const { listeners = [], gatewayClassName } = source.object.spec ?? {};
    if (gatewayClassName?.endsWith('waypoint')) return [];
    return listeners.flatMap(({ name, port, protocol, allowedRoutes }, index): Finding[] => {
      const path = `spec.listeners[${index}]`;
      const found: Finding[] = [];
      if (['HTTP', 'TCP', 'UDP'].includes(protocol) && !onlyRedirects(view, source, name))
        found.push(
          about(source, `${path}.protocol`, {
            code: 'GatewayWithoutTls',
            level: 'Medium',
            what: `port ${port} takes ${protocol} without TLS`,
            why: 'what clients send from outside, tokens and cookies too, can be read and changed on the way',
            mend: 'serve HTTPS, and let an HTTPRoute redirect plain HTTP (filter RequestRedirect with scheme https)',
          }),
        );
      if (allowedRoutes?.namespaces?.from === 'All')
        found.push(
          about(source, `${path}.allowedRoutes.namespaces.from`, {
            code: 'AnyNamespace',
            level: 'Low',
            what: 'routes of any namespace may be attached',
            why: 'whoever may write an HTTPRoute anywhere can take over hosts and paths of others',
            mend: 'choose the namespaces with from: Selector, or give the listener one hostname per team',
          }),
        );
      return found;
    });
  });

/** Whether all that is attached to a listener sends clients to HTTPS. */
function onlyRedirects(view: SecurityView, { object }: SourceObject, listener: string): boolean {
  const { namespace = 'default', name } = object.metadata;
  const attached = view
    .all<HTTPRouteSpec>(kinds.httpRoute)
    .filter((route) =>
      route.object.spec?.parentRefs?.some(
        (parent) =>
          parent.name === name &&
          (parent.namespace ?? route.object.metadata.namespace ?? 'default') === namespace &&
          (parent.sectionName === undefined || parent.sectionName === listener),
      ),
    );
  const rules = attached.flatMap((route) => route.object.spec?.rules ?? []);
  return (
    rules.length > 0 &&
    rules.every(({ filters = [] }) => filters.some(({ requestRedirect: to }) => to?.scheme === 'https'))
  );
}

/** Certificates that gateways serve, by the Secrets that they name. */
export const gatewayCertificates: SecurityCheck = (view) => {
  const used = new Set([...istioCredentials(view), ...kubernetesCredentials(view)]);
  return view.all(kinds.secret).flatMap((source): Finding[] => {
    const { namespace = 'default', name } = source.object.metadata;
    const end = used.has(`${namespace}/${name}`) ? endOf(source) : undefined;
    const days = end === undefined ? Infinity : Math.floor((end - view.now) / day);
    if (days >= warnDays) return [];
    return [
      about(source, '', {
        code: 'GatewayCertificateEnds',
        level: days < 7 ? 'High' : 'Medium',
        what:
          days < 0
            ? 'the certificate that gateways serve has ended'
            : `the certificate that gateways serve ends in ${days} days`,
        why: 'clients outside refuse it after that',
        mend: 'put a new certificate with its key into the Secret: gateways take it up at once',
      }),
    ];
  });
};

/** A credential is read beside the gateway's workload, which may be in another namespace than the Gateway. */
function istioCredentials(view: SecurityView): string[] {
  const pods = view.all(kinds.pod);
  return view.all<GatewaySpec>(kinds.gateway).flatMap(({ object }) => {
    const { selector = {}, servers = [] } = object.spec ?? {};
    const namespaces = [
      object.metadata.namespace ?? 'default',
      ...pods
        .filter((pod) => holdsLabels(pod.object.metadata.labels ?? {}, selector))
        .map((pod) => pod.object.metadata.namespace ?? 'default'),
    ];
    const names = servers.flatMap(({ tls }) =>
      [tls?.credentialName ?? [], tls?.credentialNames ?? []].flat(),
    );
    return namespaces.flatMap((namespace) => names.map((name) => `${namespace}/${name}`));
  });
}

function kubernetesCredentials(view: SecurityView): string[] {
  return view
    .all<KubernetesGatewaySpec>(kinds.kubernetesGateway)
    .flatMap(({ object }) =>
      (object.spec?.listeners ?? [])
        .flatMap(({ tls }) => tls?.certificateRefs ?? [])
        .map(({ namespace, name }) => `${namespace ?? object.metadata.namespace ?? 'default'}/${name}`),
    );
}

/** When the first certificate of the chain that a Secret holds ends. */
function endOf({ object }: SourceObject): number | undefined {
  const { data, stringData } = object as unknown as Record<
    string,
    Readonly<Record<string, string>> | undefined
  >;
  const encoded = data?.['tls.crt'] ?? data?.cert;
  const text = stringData?.['tls.crt'] ?? stringData?.cert ?? (encoded && decode(encoded)) ?? '';
  const ends = parsePem(text)
    .filter(({ label }) => label === 'CERTIFICATE')
    .flatMap(({ der }) => certificateFacts(der)?.notAfter ?? []);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

function decode(base64: string): string {
  try {
    return atob(base64.replace(/\s+/g, ''));
  } catch {
    return '';
  }
}

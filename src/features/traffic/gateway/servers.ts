import { splitKey } from '../../../config/object.ts';
import { compareText } from '../../../kit/maps.ts';
import { captureMode, explicitCapture, proxyType } from '../../../plan/attributes.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import { wildcards } from '../../../plan/ip-families.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ingressGateways, ingressHosts } from '../ingress/schema.ts';
import { inPrecedence, virtualServiceFacts, virtualServicesByGateway } from '../virtual-service/schema.ts';
import { gatewayAt, gatewayKeys } from './gateways.ts';
import type { Gateway, Server, ServerTls } from './kinds.ts';
import { certificateCredentials } from './server-tls.ts';
import { http3Everywhere } from './topology.ts';

/** One server of a Gateway as a proxy runs it. */
export interface BoundServer {
  readonly gateway: Key;
  readonly index: number;
  readonly bind: string;
  /** The same of the other IP family. */
  readonly further?: readonly string[];
  /** Where the proxy listens. */
  readonly port: number;
  /** What the Gateway says; routes are made for it. */
  readonly serverPort: number;
  readonly kind: ServerKind;
  /** `port` is the supervisor's allocation: `serverPort` is what policies mean. */
  readonly allocated?: boolean;
  /** The route configuration; '' for servers that do not speak HTTP. */
  readonly routes: string;
  /** HTTP/3 is offered besides, on the UDP port of the same number. */
  readonly http3?: boolean;
}

/**
 * `tls`: bytes behind TLS that ends here; `passthrough`: TLS that goes through by the routes of virtual services;
 * `auto-passthrough`: mesh TLS that goes where its server name says.
 */
export type ServerKind = 'http' | 'https' | 'tcp' | 'tls' | 'passthrough' | 'auto-passthrough';

export function serverKind({ port, tls = {} }: Server): ServerKind {
  switch (port.protocol.toUpperCase()) {
    case 'HTTPS':
      return throughKind(tls) ?? 'https';
    case 'TLS':
      return throughKind(tls) ?? 'tls';
    case 'HTTP':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPC-WEB':
      return 'http';
    default:
      return 'tcp';
  }
}

/** Without a mode TLS goes through, as in Istio, but where the server names a certificate of its own. */
function throughKind(tls: ServerTls): ServerKind | undefined {
  if (tls.mode === 'AUTO_PASSTHROUGH') return 'auto-passthrough';
  const own = certificateCredentials(tls).length > 0 || tls.serverCertificate || tls.tlsCertificates?.length;
  return tls.mode === 'PASSTHROUGH' || (!tls.mode && !own) ? 'passthrough' : undefined;
}

const gatewayOrder = defineQuery('gateway.order', (view, key: Key): string => {
  const metadata = gatewayAt(view, key)?.metadata;
  return `${metadata?.creationTimestamp ?? ''} ${metadata?.name}.${metadata?.namespace}`;
});

/** The Gateways that the asking proxy runs, oldest first. */
const ownGateways = defineQuery('gateway.own', (view): readonly Key[] => {
  const all = view.call(gatewayKeys);
  if (all.length === 0 || view.attribute(proxyType) !== 'router') return [];
  return all
    .filter((key) => view.matches(gatewayAt(view, key)?.spec?.selector ?? {}))
    .sort((a, b) => compareText(view.call(gatewayOrder, a), view.call(gatewayOrder, b)));
});

/** Label by which a Service asks that gateways listen on its own port numbers. */
const untranslated = 'experimental.istio.io/disable-gateway-port-translation';

/** Annotation by which a Gateway made from another API names its Services: only their ports are listened on. */
const ownServices = 'internal.istio.io/gateway-service';

/** Service port → ports on which this workload serves it, `80:8080:host`; per workload, so it stays small. */
const ownTargets = defineQuery('gateway.targets', (view): readonly string[] => {
  const targets = new Set<string>();
  for (const { port, servicePort, service } of view.call(ownEndpoints).map(splitOwnEndpoint))
    if (view.get(serviceKind, service)?.labels[untranslated] !== 'true')
      targets.add(`${servicePort}:${port}:${splitKey(service).name}`);
  return [...targets].sort();
});

/** Where a server's port is listened on: the supervisor's allocation, the Service's target ports, or the port itself. */
export function listenPorts(view: View, port: number, services: readonly string[]): number[] {
  if (view.attribute(captureMode) === 'explicit') {
    const capture = JSON.parse(view.attribute(explicitCapture)) as ExplicitCapture;
    const local = capture.gateway?.[String(port)];
    return local === undefined ? [] : [local];
  }
  const targets = view.call(ownTargets).flatMap((target) => {
    const [servicePort, own, host = ''] = target.split(':');
    return Number(servicePort) === port && (services.length === 0 || services.includes(host))
      ? [Number(own)]
      : [];
  });
  if (targets.length > 0) return [...new Set(targets)];
  return services.length > 0 ? [] : [port];
}

/** Where servers listen that do not say: everywhere, or on the loopback addresses of an allocation. */
export function bindAddresses(view: View): readonly [string, ...string[]] {
  if (view.attribute(captureMode) !== 'explicit') return wildcards(view);
  const { families = ['IPv4'] } = JSON.parse(view.attribute(explicitCapture)) as ExplicitCapture;
  const [first = '127.0.0.1', ...others] = families.map((family) =>
    family === 'IPv6' ? '::1' : '127.0.0.1',
  );
  return [first, ...others];
}

/** Every server of the asking proxy, in order of precedence. */
export const boundServers = defineQuery('gateway.servers', (view): readonly BoundServer[] => {
  const bound: BoundServer[] = [];
  const own = view.call(ownGateways);
  if (own.length === 0) return bound;
  const explicit = view.attribute(captureMode) === 'explicit';
  const everywhere = bindAddresses(view);
  for (const key of own) {
    const gateway = gatewayAt(view, key);
    const services = gateway?.metadata.annotations?.[ownServices]?.split(',') ?? [];
    for (const [index, server] of (gateway?.spec?.servers ?? []).entries()) {
      const kind = serverKind(server);
      const serverPort = server.port.number;
      const [bind, ...further] = server.bind ? [server.bind] : everywhere;
      const socket = bind.startsWith('unix://');
      for (const port of socket ? [0] : listenPorts(view, serverPort, services)) {
        const name = gateway?.metadata;
        // A socket's path must not look like the way to a virtual host.
        const at = server.bind ? `.${server.bind.replaceAll('/', '_')}` : '';
        const routes =
          kind === 'http'
            ? `http.${port}${at}`
            : kind === 'https'
              ? `https.${serverPort}.${server.port.name}.${name?.name}.${name?.namespace}${at}`
              : '';
        bound.push({
          gateway: key,
          index,
          bind,
          ...(further.length > 0 ? { further } : {}),
          port,
          serverPort,
          kind,
          ...(explicit ? { allocated: true } : {}),
          routes,
          ...(kind === 'https' && !socket && speaksHttp3(view, gateway, server) ? { http3: true } : {}),
        });
      }
    }
  }
  return bound;
});

/** Annotation by which a Gateway asks for HTTP/3 on its HTTPS servers. */
const http3Annotation = 'networking.ostria.io/http3';

/** Modes that Envoy speaks QUIC in; it asks clients for certificates there since 1.40. */
const quicModes: ReadonlySet<string | undefined> = new Set(['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL']);

/** QUIC's TLS is 1.3. */
function speaksHttp3(view: View, gateway: Gateway | undefined, { tls }: Server): boolean {
  const wanted = gateway?.metadata.annotations?.[http3Annotation] === 'true' || view.call(http3Everywhere);
  const max = tls?.maxProtocolVersion ?? 'TLS_AUTO';
  return wanted && quicModes.has(tls?.mode) && (max === 'TLS_AUTO' || max === 'TLSV1_3');
}

export interface ServerHost {
  readonly namespace: string | undefined;
  readonly host: string;
}

/** `ns/host`, `./host` or `host`: which namespace's virtual services a server's host is open to; undefined: any. */
export function splitServerHost(host: string, namespace: string): ServerHost {
  const slash = host.indexOf('/');
  if (slash < 0) return { namespace: undefined, host };
  const scope = host.slice(0, slash);
  return {
    namespace: scope === '*' ? undefined : scope === '.' ? namespace : scope,
    host: host.slice(slash + 1),
  };
}

/** Host → virtual services that decide for it on a server, in order of precedence. The host is the narrower of both sides'. */
export const hostsOfServer = defineQuery(
  'gateway.hosts-of-server',
  (view, gateway: Key, index: Key): Readonly<Record<string, readonly Key[]>> => {
    const object = gatewayAt(view, gateway);
    const wanted = (object?.spec?.servers?.[Number(index)]?.hosts ?? []).map((host) =>
      splitServerHost(host, object?.metadata.namespace ?? 'default'),
    );
    const hosts: Record<string, Key[]> = {};
    for (const key of inPrecedence(view, view.list(virtualServicesByGateway, gateway))) {
      const facts = view.call(virtualServiceFacts, key);
      if (!facts?.hasHttp) continue;
      for (const host of facts.hosts)
        for (const server of wanted) {
          if (server.namespace !== undefined && server.namespace !== facts.namespace) continue;
          const narrow = hostCovers(server.host, host)
            ? host
            : hostCovers(host, server.host)
              ? server.host
              : undefined;
          if (narrow === undefined) continue;
          const list = hosts[narrow] ?? [];
          if (!list.includes(key)) hosts[narrow] = [...list, key];
        }
    }
    if (view.call(ingressGateways).includes(gateway)) {
      const served = wanted.map(({ host }) => host);
      for (const [host, rules] of Object.entries(ingressHosts(view, served)))
        hosts[host] = [...(hosts[host] ?? []), `${rulesMark}${rules}`];
    }
    return hosts;
  },
);

/** Marks, among the keys of virtual services, the rules of Ingresses for a host. */
const rulesMark = 'ingress:';

/** The host whose rules a key stands for; undefined: it is a virtual service's. */
export function rulesHost(key: Key): string | undefined {
  return key.startsWith(rulesMark) ? key.slice(rulesMark.length) : undefined;
}

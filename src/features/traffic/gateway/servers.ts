import { splitKey } from '../../../config/object.ts';
import { compareText } from '../../../kit/maps.ts';
import { captureMode, explicitCapture, proxyType } from '../../../plan/attributes.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { inPrecedence, virtualServiceFacts, virtualServicesByGateway } from '../virtual-service/schema.ts';
import { allGateways, gatewayKind, type Server } from './schema.ts';

/** One server of a Gateway as a proxy runs it. */
export interface BoundServer {
  readonly gateway: Key;
  readonly index: number;
  readonly bind: string;
  /** Where the proxy listens. */
  readonly port: number;
  /** What the Gateway says; routes are made for it. */
  readonly serverPort: number;
  readonly kind: ServerKind;
  /** `port` is the supervisor's allocation: `serverPort` is what policies mean. */
  readonly allocated?: boolean;
  /** The route configuration; '' for servers that do not speak HTTP. */
  readonly routes: string;
}

/** `tls`: bytes behind TLS that ends here; `passthrough`: TLS that goes through. */
export type ServerKind = 'http' | 'https' | 'tcp' | 'tls' | 'passthrough';

export function serverKind(server: Server): ServerKind {
  const mode = server.tls?.mode;
  switch (server.port.protocol.toUpperCase()) {
    case 'HTTPS':
      return mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH' ? 'passthrough' : 'https';
    case 'TLS':
      return !mode || mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH' ? 'passthrough' : 'tls';
    case 'HTTP':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPC-WEB':
      return 'http';
    default:
      return 'tcp';
  }
}

const gatewayOrder = defineQuery('gateway.order', (view, key: Key): string => {
  const metadata = view.get(gatewayKind, key)?.metadata;
  return `${metadata?.creationTimestamp ?? ''} ${metadata?.name}.${metadata?.namespace}`;
});

/** The Gateways that the asking proxy runs, oldest first. */
const ownGateways = defineQuery('gateway.own', (view): readonly Key[] => {
  const all = view.list(allGateways, '');
  if (all.length === 0 || view.attribute(proxyType) !== 'router') return [];
  return all
    .filter((key) => view.matches(view.get(gatewayKind, key)?.spec?.selector ?? {}))
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
function listenPorts(view: View, port: number, services: readonly string[]): number[] {
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

/** Every server of the asking proxy, in order of precedence. */
export const boundServers = defineQuery('gateway.servers', (view): readonly BoundServer[] => {
  const bound: BoundServer[] = [];
  for (const key of view.call(ownGateways)) {
    const gateway = view.get(gatewayKind, key);
    const services = gateway?.metadata.annotations?.[ownServices]?.split(',') ?? [];
    for (const [index, server] of (gateway?.spec?.servers ?? []).entries()) {
      const kind = serverKind(server);
      const serverPort = server.port.number;
      const bind = server.bind || (view.attribute(captureMode) === 'explicit' ? '127.0.0.1' : '0.0.0.0');
      for (const port of listenPorts(view, serverPort, services)) {
        const name = gateway?.metadata;
        const routes =
          kind === 'http'
            ? `http.${port}`
            : kind === 'https'
              ? `https.${serverPort}.${server.port.name}.${name?.name}.${name?.namespace}`
              : '';
        bound.push({
          gateway: key,
          index,
          bind,
          port,
          serverPort,
          kind,
          ...(view.attribute(captureMode) === 'explicit' ? { allocated: true } : {}),
          routes,
        });
      }
    }
  }
  return bound;
});

/** `ns/host`, `./host` or `host`: which namespace's virtual services a server's host is open to; undefined: any. */
export function splitServerHost(
  host: string,
  namespace: string,
): { namespace: string | undefined; host: string } {
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
    const object = view.get(gatewayKind, gateway);
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
    return hosts;
  },
);

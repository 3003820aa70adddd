import type { CertificateSource } from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { hostsOverlap } from '../../../plan/hosts.ts';
import {
  type DownstreamTls,
  type FilterChainPlan,
  filterChainPlan,
  type HttpChain,
  type ListenerPlan,
  listenerPlan,
  type TcpChain,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { usesDynamicDns } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { gatewayConnections } from '../virtual-service/schema.ts';
import { type Gateway, gatewayKind, gatewayOrigin, type Server } from './schema.ts';
import { type BoundServer, boundServers, splitServerHost } from './servers.ts';

const listenerNames = defineQuery('gateway.listeners', (view): readonly Key[] => [
  ...new Set(view.call(boundServers).map(({ bind, port }) => `${bind}_${port}`)),
]);

/** name, its servers as text */
function resolveListener(view: View, name: Key): readonly Key[] {
  const servers = view.call(boundServers).filter(({ bind, port }) => `${bind}_${port}` === name);
  return [name, JSON.stringify(servers)];
}

function planListener(view: View, name: Key, text: Key): ListenerPlan | undefined {
  const servers = JSON.parse(text) as BoundServer[];
  const [first] = servers;
  const gateway = first && view.get(gatewayKind, first.gateway);
  if (!first || !gateway) return undefined;
  const secured = servers.some((server) => server.kind !== 'http' && server.kind !== 'tcp');
  const chains: FilterChainPlan[] = [];
  const taken = new Set<string>();
  let plain = false;
  for (const server of servers) {
    const object = view.get(gatewayKind, server.gateway);
    const spec = object?.spec?.servers?.[server.index];
    if (!object || !spec) continue;
    if (server.kind === 'http' || server.kind === 'tcp') {
      // One protocol in the clear per port: the first server's.
      if (!plain) chains.push(plainChain(view, object, spec, server, secured));
      plain = true;
    } else chains.push(...securedChains(view, object, spec, server, taken));
  }
  if (chains.length === 0) return undefined;
  return listenerPlan({
    name,
    address: first.bind,
    port: first.port,
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains,
    detectionTimeoutMs: 0,
    origin: gatewayOrigin(gateway, `spec.servers[${first.index}]`),
  });
}

/** The first route for the server's names; TCP routes are for any. */
function connectionsFor(view: View, server: BoundServer, hosts: readonly string[]): TcpChain['destinations'] {
  const found = gatewayConnections(view, server.gateway, server.serverPort).find(({ serverNames }) =>
    serverNames.some((name) => name === '*' || hosts.some((host) => hostsOverlap(name, host))),
  );
  return found?.destinations ?? [];
}

export const gatewayListeners: Shaper<ListenerPlan> = {
  name: 'gateway',
  keys: listenerNames,
  resolve: resolveListener,
  plan: planListener,
};

function policyPort({ allocated, serverPort }: BoundServer): { policyPort?: number } {
  return allocated ? { policyPort: serverPort } : {};
}

function plainChain(
  view: View,
  gateway: Gateway,
  spec: Server,
  server: BoundServer,
  secured: boolean,
): FilterChainPlan {
  const hosts = spec.hosts.map((host) => splitServerHost(host, gateway.metadata.namespace ?? 'default').host);
  return filterChainPlan({
    name: server.kind === 'http' ? server.routes : `tcp.${server.port}`,
    match: secured ? { transport: 'raw_buffer' } : {},
    network:
      server.kind === 'http'
        ? httpTo(view, spec, server, false)
        : tcpTo(gateway, server, connectionsFor(view, server, hosts)),
    direction: 'gateway',
    ...policyPort(server),
    origin: gatewayOrigin(gateway, `spec.servers[${server.index}]`),
  });
}

function httpTo(view: View, spec: Server, server: BoundServer, mutualTls: boolean): HttpChain {
  return {
    type: 'http',
    routes: { type: 'discovered', name: server.routes },
    statPrefix: `outbound_${server.bind}_${server.port}`,
    role: 'gateway',
    mutualTls,
    ...(view.call(usesDynamicDns) ? { dynamicForwardProxy: true } : {}),
    ...(spec.port.protocol.toUpperCase() === 'GRPC-WEB' ? { grpcWeb: true } : {}),
  };
}

/** Without a route there is nowhere to send bytes: the connection is closed. */
function tcpTo(gateway: Gateway, server: BoundServer, destinations: TcpChain['destinations']): TcpChain {
  const origin = gatewayOrigin(gateway, `spec.servers[${server.index}]`);
  return {
    type: 'tcp',
    statPrefix: destinations[0]?.cluster ?? blackHoleCluster,
    destinations: destinations.length > 0 ? destinations : [{ cluster: blackHoleCluster, weight: 1, origin }],
    idleTimeoutMs: 0,
  };
}

/** Chains told apart by server name. A name that an earlier server has is not taken twice: Envoy would refuse the listener. */
function securedChains(
  view: View,
  gateway: Gateway,
  spec: Server,
  server: BoundServer,
  taken: Set<string>,
): FilterChainPlan[] {
  const namespace = gateway.metadata.namespace ?? 'default';
  const origin = gatewayOrigin(gateway, `spec.servers[${server.index}]`);
  const claim = (names: readonly string[]): string[] | undefined => {
    const own = names.filter((name) => !taken.has(name));
    for (const name of own) taken.add(name);
    return own.length > 0 ? own : undefined;
  };
  const match = (names: readonly string[]) =>
    names.includes('*') ? { transport: 'tls' as const } : { transport: 'tls' as const, serverNames: names };
  const hosts = spec.hosts.map((host) => splitServerHost(host, namespace).host);
  if (server.kind === 'passthrough')
    return gatewayConnections(view, server.gateway, server.serverPort).flatMap((connection) => {
      const names = claim(
        connection.serverNames.filter((name) => hosts.some((host) => hostsOverlap(name, host))),
      );
      return names
        ? [
            filterChainPlan({
              name: names.join(','),
              match: match(names),
              network: tcpTo(gateway, server, connection.destinations),
              direction: 'gateway',
              ...policyPort(server),
              origin: connection.destinations[0]?.origin ?? origin,
            }),
          ]
        : [];
    });
  const names = claim(hosts.includes('*') ? ['*'] : hosts);
  if (!names) return [];
  const http = server.kind === 'https';
  const tls = serverTls(view, spec, http);
  return [
    filterChainPlan({
      name: http ? server.routes : `tls.${server.port}.${gateway.metadata.name}.${server.index}`,
      match: match(names),
      tls,
      network: http
        ? httpTo(view, spec, server, tls.trust !== undefined)
        : tcpTo(gateway, server, connectionsFor(view, server, hosts)),
      direction: 'gateway',
      ...policyPort(server),
      origin,
    }),
  ];
}

/** Names of secrets as gateways ask for them; `-cacert` holds the trust anchors for client certificates. */
export function secretName(credential: string): string {
  return `kubernetes://${credential}`;
}

function serverTls(view: View, spec: Server, http: boolean): DownstreamTls {
  const { tls = {} } = spec;
  const mode = tls.mode ?? 'SIMPLE';
  const credentials = tls.credentialNames?.length
    ? tls.credentialNames
    : tls.credentialName
      ? [tls.credentialName]
      : [];
  const mesh = mode === 'ISTIO_MUTUAL';
  const files: CertificateSource[] = tls.tlsCertificates?.length
    ? tls.tlsCertificates.map((pair) => ({
        type: 'files',
        certificate: pair.serverCertificate ?? '',
        privateKey: pair.privateKey ?? '',
      }))
    : [{ type: 'files', certificate: tls.serverCertificate ?? '', privateKey: tls.privateKey ?? '' }];
  const asks = mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL' || mesh;
  const trust = mesh
    ? ({ type: 'mesh' } as const)
    : credentials[0] !== undefined
      ? ({
          type: 'secret',
          name: secretName(tls.caCertCredentialName ?? `${credentials[0]}-cacert`),
        } as const)
      : ({ type: 'file', path: tls.caCertificates ?? '', ...(tls.caCrl ? { crl: tls.caCrl } : {}) } as const);
  return {
    certificates: mesh
      ? [{ type: 'mesh' }]
      : credentials.length > 0
        ? credentials.map((name) => ({ type: 'secret', name: secretName(name) }))
        : files,
    ...(asks ? { trust } : {}),
    requireClientCertificate: mode === 'MUTUAL' || mesh,
    subjectAltNames: tls.subjectAltNames ?? [],
    ...(mesh ? { trustDomains: [view.mesh('trustDomain'), ...view.mesh('trustDomainAliases')] } : {}),
    ...(tls.verifyCertificateSpki?.length ? { verifySpki: tls.verifyCertificateSpki } : {}),
    ...(tls.verifyCertificateHash?.length ? { verifyHash: tls.verifyCertificateHash } : {}),
    alpn: http ? ['h2', 'http/1.1'] : [],
    ...(tls.minProtocolVersion ? { minVersion: tls.minProtocolVersion } : {}),
    ...(tls.maxProtocolVersion ? { maxVersion: tls.maxProtocolVersion } : {}),
    ...(tls.cipherSuites?.length ? { cipherSuites: tls.cipherSuites } : {}),
  };
}

import type { Origin } from '../../../config/origin.ts';
import { sniffedHttp } from '../../../envoy/listener.ts';
import { httpAlpn, meshAlpn } from '../../../envoy/tls.ts';
import {
  type ChainMatch,
  type DownstreamTls,
  type FilterChainPlan,
  filterChainPlan,
  spokenOn,
} from '../../../plan/listener-plan.ts';
import { inboundCluster } from '../../../plan/names.ts';
import { anyPath, forwardTo, routePlan, virtualHostPlan } from '../../../plan/route-plan.ts';
import { isHttp, isSniffed } from '../../../plan/service-scope.ts';
import { defineSlot, fill } from '../../../plan/slot.ts';
import type { MeshService, Protocol } from '../../../registry/service.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  demandOn,
  type ModeChoice,
  type MtlsDemand,
  mtlsModeSlot,
} from '../../security/peer-authentication/schema.ts';

/** A port of the application behind the proxy. */
export interface InboundPort {
  /** Names the cluster and the route configuration. */
  readonly port: number;
  readonly protocol: Protocol;
  readonly origin: Origin;
  /** Ends TLS of the application's own clients, where the port takes no mutual TLS of the mesh. */
  readonly tls?: DownstreamTls;
  /** Where connections go, if not to the port's own cluster. */
  readonly cluster?: string;
  /** The proxy listens on an allocated port: `port` is what policies mean. */
  readonly allocated?: boolean;
  /** The service that callers mean by the port, where one is known. */
  readonly service?: ServedService | undefined;
}

export type ServedService = Pick<MeshService, 'hostname' | 'namespace'>;

/** The one service that a chain's traffic is for. */
export const servedSlot = defineSlot<ServedService>('served');

/** What sidecars offer for HTTP, ours and Istio's. */
const httpAlpns = [meshAlpn, httpAlpn, 'istio-h2', 'istio-http/1.1', 'istio-http/1.0'];

/** TLS of connections from other sidecars: they must prove an identity of the mesh, or of one that it trusts. */
export function meshServerTls(view: View, alpn: readonly string[]): DownstreamTls {
  return {
    certificates: [{ type: 'mesh' }],
    trust: { type: 'mesh' },
    requireClientCertificate: true,
    subjectAltNames: [],
    trustDomains: [
      view.mesh('trustDomain'),
      ...view.mesh('trustDomainAliases'),
      ...view.mesh('federatedTrustDomains'),
    ],
    alpn,
  };
}

/**
 * The chains of one port. STRICT: mTLS alone, no inspector needed. PERMISSIVE: mTLS is recognised by its ALPN; other TLS is the
 * application's own and passes untouched, but not on a port that is declared HTTP, where it would pass by what is decided by request. `base` is what tells the port from others on the same listener.
 */
export function inboundChains(
  view: View,
  port: InboundPort,
  base: ChainMatch,
  demand: MtlsDemand,
): FilterChainPlan[] {
  const choice = demandOn(demand, port.port);
  const { mode } = choice;
  const chains: FilterChainPlan[] = [];
  if (mode !== 'DISABLE') chains.push(...securedChains(view, port, base, mode === 'PERMISSIVE'));
  if (mode === 'DISABLE' && port.tls) chains.push(...ownTlsChains(port, port.tls, base));
  else if (mode !== 'STRICT') chains.push(...plainChains(port, base, mode === 'PERMISSIVE'));
  for (const chain of chains) if (port.service) fill(chain, servedSlot, served(port.service), port.origin);
  return chains.map((chain) => withReason(chain, choice));
}

function served({ hostname, namespace }: ServedService): ServedService {
  return { hostname, namespace };
}

/** Notes which object chose the mode; the mesh's default needs no note. */
export function withReason(chain: FilterChainPlan, { mode, origin }: ModeChoice): FilterChainPlan {
  if (origin.kind === 'PeerAuthentication') fill(chain, mtlsModeSlot, mode, origin);
  return chain;
}

function securedChains(
  view: View,
  port: InboundPort,
  base: ChainMatch,
  permissive: boolean,
): FilterChainPlan[] {
  const name = `${port.port}-mtls`;
  const match: ChainMatch = permissive
    ? { ...base, transport: 'tls', applicationProtocols: isHttp(port) ? httpAlpns : [meshAlpn] }
    : base;
  if (isHttp(port)) return [httpChain(name, port, match, meshServerTls(view, ['h2', 'http/1.1']))];
  const tcp = tcpChain(name, port, match, meshServerTls(view, [meshAlpn]));
  if (!isSniffed(port)) return [tcp];
  // Nothing is negotiated on recognised HTTP: the codec goes by the first bytes.
  const http = httpChain(
    `${name}-http`,
    port,
    { ...base, transport: 'tls', applicationProtocols: [httpAlpn, 'h2', 'istio-h2', 'istio-http/1.1'] },
    meshServerTls(view, ['h2']),
  );
  return [
    http,
    permissive ? tcp : tcpChain(name, port, { ...base, transport: 'tls' }, meshServerTls(view, [meshAlpn])),
  ];
}

/** TLS ends here with the application's own certificate; plaintext is not taken. */
function ownTlsChains(port: InboundPort, tls: DownstreamTls, base: ChainMatch): FilterChainPlan[] {
  const match: ChainMatch = { ...base, transport: 'tls' };
  const chain = isHttp(port) ? httpChain : tcpChain;
  return [chain(`${port.port}-own-tls`, port, match, tls)];
}

/** Envoy matches step by step and never goes back: chains of one port must name the same things, transport included. */
function plainChains(port: InboundPort, base: ChainMatch, permissive: boolean): FilterChainPlan[] {
  const plain: ChainMatch = permissive ? { ...base, transport: 'raw_buffer' } : base;
  const name = `${port.port}-plain`;
  const chains: FilterChainPlan[] = [];
  if (isHttp(port)) chains.push(httpChain(name, port, plain, undefined));
  else if (isSniffed(port))
    chains.push(
      httpChain(`${name}-http`, port, { ...plain, applicationProtocols: sniffedHttp }, undefined),
      tcpChain(name, port, plain, undefined),
    );
  else chains.push(tcpChain(name, port, plain, undefined));
  if (permissive && !isHttp(port))
    chains.push(tcpChain(`${port.port}-tls`, port, { ...base, transport: 'tls' }, undefined));
  return chains;
}

function httpChain(
  name: string,
  { port, protocol, origin, allocated }: InboundPort,
  match: ChainMatch,
  tls: DownstreamTls | undefined,
): FilterChainPlan {
  const cluster = inboundCluster(port);
  const route = routePlan({ name: 'default', match: anyPath, action: forwardTo(cluster, origin), origin });
  return filterChainPlan({
    name,
    match,
    ...(tls ? { tls } : {}),
    network: {
      type: 'http',
      routes: {
        type: 'inline',
        name: cluster,
        hosts: [virtualHostPlan({ name: `inbound|http|${port}`, domains: ['*'], routes: [route], origin })],
      },
      statPrefix: `inbound_${port}`,
      role: 'inbound',
      ...(protocol === 'GRPCWeb' ? { grpcWeb: true } : {}),
      mutualTls: tls?.trust !== undefined,
    },
    direction: 'inbound',
    ...(allocated ? { policyPort: port } : {}),
    origin,
  });
}

function tcpChain(
  name: string,
  { port, protocol, origin, allocated, cluster = inboundCluster(port) }: InboundPort,
  match: ChainMatch,
  tls: DownstreamTls | undefined,
): FilterChainPlan {
  return filterChainPlan({
    name,
    match,
    ...(tls ? { tls } : {}),
    network: {
      type: 'tcp',
      statPrefix: cluster,
      destinations: [{ cluster, weight: 1, origin }],
      ...spokenOn(protocol, origin),
      idleTimeoutMs: 0,
    },
    direction: 'inbound',
    ...(allocated ? { policyPort: port } : {}),
    origin,
  });
}

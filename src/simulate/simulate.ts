import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { LbEndpoint } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import {
  type Route,
  type RouteAction,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { HTTPFaultSchema } from '../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { DownstreamTlsContextSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { parseOriginId } from '../config/origin.ts';
import { canonicalAddress } from '../kit/ip.ts';
import type { Call, SimulationError, SimulationResult, Step } from './call.ts';
import { connectionClusters } from './connection-clusters.ts';
import { DecodedResources, type ResourceSet, unpack } from './decoded-resources.ts';
import { type ConnectionFacts, matchFilterChains } from './filter-chain.ts';
import { forwarded, normalizedPath, redirectLocation } from './rewrite.ts';
import { matchRoute, matchVirtualHost } from './route.ts';

/** Metadata namespace and key under which emitters stamp origins. */
const originNamespace = 'ostria';
const originKey = 'origin';

interface Walk {
  call: Call;
  resources: DecodedResources;
  result: Omit<SimulationResult, 'steps'> & { steps: Step[] };
}

/** Walks one call through a proxy's resources, as Envoy would, and says what decided each step. */
export function simulate(resources: ResourceSet | DecodedResources, call: Call): SimulationResult {
  const decoded = resources instanceof DecodedResources ? resources : new DecodedResources(resources);
  const walk: Walk = { call, resources: decoded, result: { steps: [] } };
  const listener = findListener(decoded.listeners(), call);
  if (!listener) return fail(walk, 'no listener matched');
  walk.result.listener = listener.name;
  step(walk, 'listener', listener.name, listener.metadata);
  return walkListener(walk, listener);
}

function fail(walk: Walk, error: SimulationError): SimulationResult {
  walk.result.error = error;
  return walk.result;
}

/** HTTP is answered whatever goes wrong. */
function failWith(walk: Walk, status: number, error: SimulationError): SimulationResult {
  walk.result.status = status;
  return fail(walk, error);
}

type Metadata = { filterMetadata: { readonly [key: string]: unknown } } | undefined;

function step(walk: Walk, stage: Step['stage'], name: string, metadata: Metadata): void {
  const fields = metadata?.filterMetadata[originNamespace] as Record<string, unknown> | undefined;
  const id = fields?.[originKey];
  const origin = typeof id === 'string' ? parseOriginId(id) : undefined;
  walk.result.steps.push({ stage, name, ...(origin ? { origin } : {}) });
}

/** A captured connection goes to the listener of its original destination, where the capture listener hands over; else it stays. */
function findListener(listeners: readonly Listener[], call: Call): Listener | undefined {
  if (call.mode === 'inbound') return listeners.find((listener) => listener.name === 'virtualInbound');
  const direct =
    listenerAt(listeners, call.address, call.port) ??
    listenerAt(listeners, wildcardOf(call.address), call.port);
  if (direct || call.mode === 'direct') return direct;
  return listeners.find((listener) => listener.name === 'virtualOutbound');
}

function wildcardOf(address: string): string {
  return address.includes(':') ? '::' : '0.0.0.0';
}

/** QUIC's listeners are UDP ones: no call is simulated there. */
function listenerAt(listeners: readonly Listener[], address: string, port: number): Listener | undefined {
  return listeners.find(
    (listener) =>
      listener.udpListenerConfig === undefined &&
      [listener.address, ...listener.additionalAddresses.map((extra) => extra.address)].some((candidate) => {
        const socket = candidate?.address.case === 'socketAddress' ? candidate.address.value : undefined;
        return (
          socket !== undefined &&
          canonicalAddress(socket.address) === canonicalAddress(address) &&
          socket.portSpecifier.case === 'portValue' &&
          socket.portSpecifier.value === port
        );
      }),
  );
}

function walkListener(walk: Walk, listener: Listener): SimulationResult {
  const facts = connectionFacts(listener, walk.call);
  const matched = matchFilterChains(listener.filterChains, facts);
  if (matched.length > 1) return fail(walk, 'multiple filter chains matched');
  const chain = matched[0] ?? listener.defaultFilterChain;
  if (!chain) return fail(walk, 'no filter chains matched');
  walk.result.filterChain = chain.name;
  step(walk, 'filter-chain', chain.name, chain.metadata);
  const tlsError = checkTls(chain, walk.call);
  if (tlsError) return fail(walk, tlsError);
  return walkFilterChain(walk, chain);
}

/** Inspectors that may be off for a port: their `filter_disabled` matches a destination port range. */
function connectionFacts(listener: Listener, call: Call): ConnectionFacts {
  const inspects = (name: string): boolean =>
    listener.listenerFilters.some(
      (filter) => filter.name.includes(name) && !disabledFor(filter.filterDisabled, call.port),
    );
  const tls = call.tls !== 'plaintext' && inspects('tls_inspector');
  const sniffed =
    call.tls === 'plaintext' && call.protocol !== 'tcp' && inspects('http_inspector')
      ? [call.protocol === 'http2' ? 'h2c' : 'http/1.1']
      : [];
  return {
    address: call.address,
    port: call.port,
    sourceAddress: call.sourceAddress ?? '',
    transport: tls ? 'tls' : 'raw_buffer',
    serverName: tls ? (call.sni ?? call.host ?? '') : '',
    applicationProtocols: tls ? (call.alpn ? [call.alpn] : []) : sniffed,
  };
}

type Disabled = NonNullable<Listener['listenerFilters'][number]['filterDisabled']>;

function disabledFor(predicate: Disabled | undefined, port: number): boolean {
  const rule = predicate?.rule;
  switch (rule?.case) {
    case 'destinationPortRange':
      return port >= rule.value.start && port < rule.value.end;
    case 'orMatch':
      return rule.value.rules.some((inner) => disabledFor(inner, port));
    case 'andMatch':
      return rule.value.rules.every((inner) => disabledFor(inner, port));
    case 'notMatch':
      return !disabledFor(rule.value, port);
    case 'anyMatch':
      return rule.value;
    default:
      return false;
  }
}

function checkTls(chain: FilterChain, call: Call): SimulationError | undefined {
  const socket = chain.transportSocket;
  const config = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined;
  const context = unpack(config, DownstreamTlsContextSchema);
  if (!context) return undefined;
  if (call.tls === 'plaintext') return 'invalid TLS';
  // A client that proves who it is expects to be asked: a server that does not ask is not the peer that it means.
  const asks =
    context.requireClientCertificate || context.commonTlsContext?.validationContextType.case !== undefined;
  if (call.tls === 'mtls') return asks ? undefined : 'invalid mTLS';
  return context.requireClientCertificate ? 'invalid mTLS' : undefined;
}

/** TLS that the chain does not terminate is opaque: only a TCP proxy can take it on. */
function walkFilterChain(walk: Walk, chain: FilterChain): SimulationResult {
  if (chain.filters.some(({ name }) => name === 'envoy.filters.network.sni_cluster')) return walkBySni(walk);
  const opaque = walk.call.tls !== 'plaintext' && chain.transportSocket === undefined;
  for (const filter of chain.filters) {
    const config = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined;
    const http = unpack(config, HttpConnectionManagerSchema);
    if (http) {
      if (opaque || walk.call.protocol === 'tcp') return fail(walk, 'protocol error');
      return walkHttp(walk, http);
    }
    const clusters = connectionClusters(config);
    if (clusters) return toClusters(walk, clusters);
  }
  return walk.result;
}

/** The server name is the cluster's: those that the guard before the filter lets through. */
function walkBySni(walk: Walk): SimulationResult {
  const { sni = '' } = walk.call;
  const known = sni.startsWith('outbound_.') && walk.resources.cluster(sni) !== undefined;
  return known ? toClusters(walk, [{ cluster: sni, weight: 1 }]) : fail(walk, 'no cluster matched');
}

/** The place of the destination that the call is to take. */
function chosenIndex({ destination = 0 }: Call, clusters: readonly { weight: number }[]): number {
  const possible = clusters.flatMap(({ weight }, index) => (weight > 0 ? [index] : []));
  return possible[destination] ?? possible[0] ?? 0;
}

function toClusters(walk: Walk, clusters: readonly { cluster: string; weight: number }[]): SimulationResult {
  const chosen = clusters[chosenIndex(walk.call, clusters)];
  if (chosen) {
    walk.result.cluster = chosen.cluster;
    step(walk, 'cluster', chosen.cluster, walk.resources.cluster(chosen.cluster)?.metadata);
  }
  if (clusters.length > 1) walk.result.weightedClusters = clusters;
  return walk.result;
}

function walkHttp(walk: Walk, manager: HttpConnectionManager): SimulationResult {
  if (manager.normalizePath) walk.call = { ...walk.call, path: normalizedPath(walk.call.path ?? '/') };
  const specifier = manager.routeSpecifier;
  let config: RouteConfiguration | undefined;
  if (specifier.case === 'rds') config = walk.resources.routeConfiguration(specifier.value.routeConfigName);
  else if (specifier.case === 'routeConfig') config = specifier.value;
  if (specifier.case === 'rds') walk.result.routeConfig = specifier.value.routeConfigName;
  else if (config) walk.result.routeConfig = config.name;
  if (!config) return fail(walk, 'no virtual host matched');
  step(walk, 'route-configuration', config.name, undefined);
  const hosts = [...config.virtualHosts, ...(config.vhds ? walk.resources.virtualHosts(config.name) : [])];
  const host = matchVirtualHost(hosts, walk.call.host ?? '', config.ignorePortInHostMatching);
  if (!host) return failWith(walk, 404, 'no virtual host matched');
  walk.result.virtualHost = host.name;
  step(walk, 'virtual-host', host.name, host.metadata);
  return walkVirtualHost(walk, host);
}

function walkVirtualHost(walk: Walk, host: VirtualHost): SimulationResult {
  if (host.requireTls === VirtualHost_TlsRequirementType.ALL && walk.call.tls === 'plaintext')
    return failWith(walk, 301, 'tls required, sending 301');
  const route = matchRoute(host.routes, walk.call);
  if (!route) return failWith(walk, 404, 'no route matched');
  walk.result.route = route.name;
  step(walk, 'route', route.name, route.metadata);
  return applyAction(walk, route);
}

function applyAction(walk: Walk, route: Route): SimulationResult {
  const { action } = route;
  switch (action.case) {
    case 'directResponse':
      walk.result.directResponse = { status: action.value.status };
      walk.result.status = action.value.status;
      return walk.result;
    case 'redirect': {
      const code = [301, 302, 303, 307, 308][action.value.responseCode] ?? 301;
      walk.result.redirect = { code, location: redirectLocation(walk.call, route, action.value) };
      walk.result.status = code;
      return walk.result;
    }
    case 'route':
      return forward(walk, route, action.value);
    default:
      return walk.result;
  }
}

function forward(walk: Walk, route: Route, action: RouteAction): SimulationResult {
  const { clusterSpecifier } = action;
  const clusters =
    clusterSpecifier.case === 'cluster'
      ? [{ cluster: clusterSpecifier.value, weight: 1 }]
      : clusterSpecifier.case === 'weightedClusters'
        ? clusterSpecifier.value.clusters.map(({ name, weight }) => ({ cluster: name, weight: weight ?? 0 }))
        : [];
  toClusters(walk, clusters);
  const aborted = abortStatus(route);
  const chosen = walk.resources.cluster(walk.result.cluster ?? '');
  const status = aborted ?? (chosen ? statusWithout(walk, chosen) : missingStatus(action));
  if (status !== undefined) walk.result.status = status;
  else walk.result.forwarded = forwarded(walk.call, route, action, chosenIndex(walk.call, clusters));
  return walk.result;
}

function missingStatus(action: RouteAction): number {
  return [503, 404, 500][action.clusterNotFoundResponseCode] ?? 503;
}

/** 503 for a cluster whose endpoints are known to be none. */
function statusWithout(walk: Walk, cluster: Cluster): number | undefined {
  const assignment = walk.resources.endpoints(cluster);
  const isStatic =
    cluster.clusterDiscoveryType.case === 'type' &&
    cluster.clusterDiscoveryType.value === DiscoveryType.STATIC;
  if (!assignment) return cluster.edsClusterConfig || isStatic ? 503 : undefined;
  const endpoints = assignment.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints.flatMap(addressOf));
  walk.result.endpoints = endpoints;
  return endpoints.length === 0 ? 503 : undefined;
}

function addressOf({ hostIdentifier }: LbEndpoint): string[] {
  const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
  if (address?.case !== 'socketAddress') return [];
  return [`${address.value.address}:${address.value.portSpecifier.value}`];
}

/** The status of a fault that no request escapes. */
function abortStatus(route: Route): number | undefined {
  const fault = unpack(route.typedPerFilterConfig['envoy.filters.http.fault'], HTTPFaultSchema);
  const { errorType, percentage } = fault?.abort ?? {};
  const always = [100, 10_000, 1_000_000][percentage?.denominator ?? 0] === percentage?.numerator;
  if (!always) return undefined;
  // A gRPC status comes in an answer that is fine as far as HTTP goes, whoever asks.
  return errorType?.case === 'httpStatus'
    ? errorType.value
    : errorType?.case === 'grpcStatus'
      ? 200
      : undefined;
}

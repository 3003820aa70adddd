import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Call, SimulationOptions, SimulationResult } from './call.ts';
import { hasEndpoint, toClusters } from './clusters.ts';
import { connectionClusters } from './connection-clusters.ts';
import { DecodedResources, type ResourceSet, unpack } from './decoded-resources.ts';
import { checkTls } from './downstream-tls.ts';
import { type ConnectionFacts, matchFilterChains } from './filter-chain.ts';
import { walkHttp } from './http.ts';
import { networkFilterPasses } from './network-filters.ts';
import { fail, step, type Walk } from './walk.ts';
import { otherChains } from './why.ts';

/** Walks one call through a proxy's resources, as Envoy would, and says what decided each step. */
export function simulate(
  resources: ResourceSet | DecodedResources,
  call: Call,
  options: SimulationOptions = {},
): SimulationResult {
  const decoded = resources instanceof DecodedResources ? resources : new DecodedResources(resources);
  const walk: Walk = { call, options, resources: decoded, result: { steps: [] }, metadata: {} };
  const listener = findListener(decoded, call);
  if (!listener) return fail(walk, 'no listener matched');
  walk.result.listener = listener.name;
  step(walk, 'listener', listener.name, listener.metadata);
  return walkListener(walk, listener);
}

/** A captured connection goes to the listener of its original destination, where the capture listener hands over; else it stays. */
function findListener(resources: DecodedResources, call: Call): Listener | undefined {
  const named = (wanted: string) => resources.listeners().find(({ name }) => name === wanted);
  if (call.mode === 'inbound') return named('virtualInbound');
  const direct =
    resources.listenerAt(call.address, call.port) ??
    resources.listenerAt(wildcardOf(call.address), call.port);
  return direct ?? (call.mode === 'direct' ? undefined : named('virtualOutbound'));
}

function wildcardOf(address: string): string {
  return address.includes(':') ? '::' : '0.0.0.0';
}

function walkListener(walk: Walk, listener: Listener): SimulationResult {
  const facts = connectionFacts(listener, walk.call);
  const matched = matchFilterChains(listener.filterChains, facts);
  if (matched.length > 1) return fail(walk, 'multiple filter chains matched');
  const chain = matched[0] ?? listener.defaultFilterChain;
  const others = () => otherChains(listener.filterChains, facts);
  if (!chain) {
    walk.result.misses = others;
    return fail(walk, 'no filter chains matched');
  }
  walk.result.filterChain = chain.name;
  step(walk, 'filter-chain', chain.name, chain.metadata, others);
  const tlsError = checkTls(walk.resources, chain, walk.call, walk.options);
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
    applicationProtocols: tls ? [call.alpn ?? []].flat() : sniffed,
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

/** TLS that the chain does not terminate is opaque: only a TCP proxy can take it on. */
function walkFilterChain(walk: Walk, chain: FilterChain): SimulationResult {
  const bySni = chain.filters.some(({ name }) => name === 'envoy.filters.network.sni_cluster');
  const opaque = walk.call.tls !== 'plaintext' && chain.transportSocket === undefined;
  for (const filter of chain.filters) {
    const config = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined;
    const http = unpack(config, HttpConnectionManagerSchema);
    if (http) {
      if (opaque || walk.call.protocol === 'tcp') return fail(walk, 'protocol error');
      return walkHttp(walk, http);
    }
    const clusters = connectionClusters(config);
    if (clusters) return bySni ? walkBySni(walk) : connect(walk, clusters);
    if (config && !networkFilterPasses(walk, filter.name, config)) return walk.result;
  }
  return walk.result;
}

/** The server name is the cluster's: those that the guard before the filter lets through. */
function walkBySni(walk: Walk): SimulationResult {
  const { sni = '' } = walk.call;
  const known = sni.startsWith('outbound_.') && walk.resources.cluster(sni) !== undefined;
  return known ? connect(walk, [{ cluster: sni, weight: 1 }]) : fail(walk, 'no cluster matched');
}

/** A connection goes on to a cluster; without anybody there it is closed. */
function connect(walk: Walk, clusters: Parameters<typeof toClusters>[1]): SimulationResult {
  toClusters(walk, clusters);
  const cluster = walk.resources.cluster(walk.result.cluster ?? '');
  if (!cluster || !hasEndpoint(walk, cluster)) walk.result.closed = true;
  return walk.result;
}

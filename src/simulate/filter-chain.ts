import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';

/** What Envoy knows of a connection when it chooses a filter chain. */
export interface ConnectionFacts {
  address: string;
  port: number;
  sourceAddress: string;
  /** After the TLS inspector, where the listener has one. */
  transport: 'tls' | 'raw_buffer';
  serverName: string;
  /** ALPN, or what the HTTP inspector saw. */
  applicationProtocols: readonly string[];
}

type Criterion = (chain: FilterChain, facts: ConnectionFacts) => number;

/**
 * Envoy compares criterion by criterion, keeping only the chains that match most specifically, with no way back: destination
 * port, destination address, server name, transport protocol, application protocol, source address. A criterion answers -1 for
 * "does not match", 0 for "says nothing", more for more specific.
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto
 */
export const criteria: readonly Criterion[] = [
  (chain, facts) => {
    const port = chain.filterChainMatch?.destinationPort;
    if (port === undefined) return 0;
    return port === facts.port ? 1 : -1;
  },
  (chain, facts) => longestRange(chain.filterChainMatch?.prefixRanges ?? [], facts.address),
  (chain, facts) => serverName(chain.filterChainMatch?.serverNames ?? [], facts.serverName),
  (chain, facts) => {
    const transport = chain.filterChainMatch?.transportProtocol ?? '';
    if (transport === '') return 0;
    return transport === facts.transport ? 1 : -1;
  },
  (chain, facts) => {
    const protocols = chain.filterChainMatch?.applicationProtocols ?? [];
    if (protocols.length === 0) return 0;
    // The client's first offer that any chain names decides.
    const position = facts.applicationProtocols.findIndex((protocol) => protocols.includes(protocol));
    return position < 0 ? -1 : facts.applicationProtocols.length - position;
  },
  (chain, facts) => longestRange(chain.filterChainMatch?.sourcePrefixRanges ?? [], facts.sourceAddress),
];

/** The chains that are left after every criterion: one, none, or (a configuration that Envoy refuses) several. */
export function matchFilterChains(chains: readonly FilterChain[], facts: ConnectionFacts): FilterChain[] {
  let left = [...chains];
  for (const criterion of criteria) {
    const scored = left.map((chain) => ({ chain, score: criterion(chain, facts) }));
    const best = Math.max(...scored.map(({ score }) => score), -1);
    if (best < 0) return [];
    left = scored.filter(({ score }) => score === best).map(({ chain }) => chain);
  }
  return left;
}

function longestRange(ranges: readonly CidrRange[], address: string): number {
  if (ranges.length === 0) return 0;
  const ip = parseIp(address);
  let best = -1;
  for (const range of ranges) {
    const length = range.prefixLen ?? 0;
    const cidr = parseCidr(`${range.addressPrefix}/${length}`);
    if (cidr && ip && cidrContains(cidr, ip)) best = Math.max(best, length + 1);
  }
  return best;
}

function serverName(names: readonly string[], name: string): number {
  if (names.length === 0) return 0;
  let best = -1;
  for (const pattern of names) {
    if (pattern.toLowerCase() === name.toLowerCase() && name !== '') return 10_000;
    if (pattern.startsWith('*.') && name.toLowerCase().endsWith(pattern.slice(1).toLowerCase()))
      best = Math.max(best, pattern.length);
  }
  return best;
}

import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { connectionClusters } from '../simulate/connection-clusters.ts';
import { type DecodedResources, unpack } from '../simulate/decoded-resources.ts';

/** What of a listener says which calls it takes. */
export interface ListenerFacts {
  readonly listener: Listener;
  readonly port: number;
  readonly address: string;
  /** Route configurations that its HTTP filter chains ask. */
  readonly routes: ReadonlySet<string>;
  /** Of its TCP filter chains. */
  readonly clusters: ReadonlySet<string>;
  /** Chains of plaintext HTTP, of TLS, and of anything. */
  readonly http: boolean;
  readonly https: boolean;
  readonly tcp: boolean;
  /** Server names that chains ask for. */
  readonly serverNames: ReadonlySet<string>;
}

const known = new WeakMap<Listener, ListenerFacts>();

export function listenerFacts(listener: Listener): ListenerFacts {
  let facts = known.get(listener);
  if (!facts) {
    facts = factsOf(listener);
    known.set(listener, facts);
  }
  return facts;
}

function factsOf(listener: Listener): ListenerFacts {
  const routes = new Set<string>();
  const clusters = new Set<string>();
  const serverNames = new Set<string>();
  const seen = { http: false, https: false, tcp: false };
  const chains = [
    ...listener.filterChains,
    ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : []),
  ];
  for (const chain of chains) {
    for (const name of chain.filterChainMatch?.serverNames ?? []) serverNames.add(name);
    const tls = chain.transportSocket !== undefined || chain.filterChainMatch?.transportProtocol === 'tls';
    for (const { configType } of chain.filters) {
      const config = configType.case === 'typedConfig' ? configType.value : undefined;
      const http = unpack(config, HttpConnectionManagerSchema);
      if (http) {
        seen[tls ? 'https' : 'http'] = true;
        const { routeSpecifier: from } = http;
        if (from.case === 'rds') routes.add(from.value.routeConfigName);
        else if (from.case === 'routeConfig') routes.add(from.value.name);
      }
      for (const { cluster } of connectionClusters(config) ?? []) {
        clusters.add(cluster);
        seen[tls ? 'https' : 'tcp'] = true;
      }
    }
  }
  const socket =
    listener.address?.address.case === 'socketAddress' ? listener.address.address.value : undefined;
  const port = socket?.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : 0;
  return { listener, port, address: socket?.address ?? '', routes, clusters, serverNames, ...seen };
}

/** The listeners of a proxy by the route configurations and clusters that they use. */
export interface ListenerIndex {
  readonly all: readonly ListenerFacts[];
  readonly byRoutes: ReadonlyMap<string, readonly ListenerFacts[]>;
  readonly byCluster: ReadonlyMap<string, readonly ListenerFacts[]>;
}

const indexes = new WeakMap<DecodedResources, ListenerIndex>();

export function listenerIndex(resources: DecodedResources): ListenerIndex {
  let index = indexes.get(resources);
  if (!index) {
    const all = resources.listeners().map(listenerFacts);
    index = {
      all,
      byRoutes: indexed(all, ({ routes }) => routes),
      byCluster: indexed(all, ({ clusters }) => clusters),
    };
    indexes.set(resources, index);
  }
  return index;
}

function indexed(
  all: readonly ListenerFacts[],
  keysOf: (facts: ListenerFacts) => Iterable<string>,
): ReadonlyMap<string, readonly ListenerFacts[]> {
  const index = new Map<string, ListenerFacts[]>();
  for (const facts of all)
    for (const key of keysOf(facts)) {
      const list = index.get(key);
      if (list) list.push(facts);
      else index.set(key, [facts]);
    }
  return index;
}

import type { Origin } from '../../../config/origin.ts';
import { sniffedHttp } from '../../../envoy/listener.ts';
import { meshAlpn } from '../../../envoy/tls.ts';
import { parseIp } from '../../../kit/ip.ts';
import { captureMode } from '../../../plan/attributes.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type ConnectionCondition, canonicalRange } from '../../../plan/first-match.ts';
import { listenOn, wildcards } from '../../../plan/ip-families.ts';
import { isLazy } from '../../../plan/lazy.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
  spokenOn,
  type TcpChain,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import {
  addressesFor,
  findPort,
  isCarried,
  isHttp,
  isSniffed,
  isTlsPort,
  ownsVirtualIp,
  portsOf,
  seenServices,
  serviceOn,
  servicesOnPort,
  usesDynamicDns,
  visibleHosts,
} from '../../../plan/service-scope.ts';
import { outboundPolicy, unknownCluster } from '../../../plan/sidecar.ts';
import type { MeshService, ServicePort } from '../../../registry/service.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { tcpChains } from '../virtual-service/schema.ts';
import { isOwnPort } from './own-places.ts';
import { isCaptured, meshOrigin } from './plan.ts';

/**
 * `port/how` of each port: `http` shares a port by Host, `address` has a virtual IP of its own, `pods` is reached at its endpoints'
 * own addresses (headless), `shared` has no address at all.
 */
const portKinds = defineQuery('outbound.port-kinds', (view, service: Key): readonly string[] =>
  view
    .call(portsOf, service)
    .filter(isCarried)
    .map((port) => `${port.port}/${howCaptured(view, service, port)}`),
);

function howCaptured(view: View, service: Key, port: ServicePort): 'http' | 'address' | 'pods' | 'shared' {
  if (isHttp(port)) return 'http';
  if (virtualIps(view, service).length > 0) return 'address';
  return view.get(serviceKind, service)?.resolution === 'passthrough' &&
    podAddresses(view, service, port.port).length > 0
    ? 'pods'
    : 'shared';
}

/** The endpoints' addresses that take a port under its own number: others are not what applications call. */
function podAddresses(view: View, service: Key, port: number): string[] {
  const addresses = (view.get(endpointsKind, service)?.endpoints ?? [])
    .filter((endpoint) => endpoint.servicePort === port && endpoint.port === port && endpoint.healthy)
    .flatMap(({ address, additionalAddresses = [] }) => [address, ...additionalAddresses]);
  return [...new Set(addresses)].filter((address) => parseIp(address) !== undefined).sort();
}

/** Single addresses that no other service claims. */
function virtualIps(view: View, service: Key): string[] {
  const found = view.get(serviceKind, service);
  return (found ? addressesFor(view, found) : []).filter(
    (address) =>
      !address.includes('/') && !['0.0.0.0', '::'].includes(address) && ownsVirtualIp(view, service, address),
  );
}

/** Ports on which services share the wildcard address, `port` each. */
const sharedPorts = defineQuery('outbound.shared-ports', (view): readonly Key[] => {
  if (!isCaptured(view)) return [];
  const ports = new Set<string>();
  for (const host of view.call(visibleHosts))
    for (const { service, sees } of seenServices(view, host))
      for (const entry of view.call(portKinds, service)) {
        const [port = '', how] = entry.split('/');
        if ((how === 'http' || how === 'shared') && sees(port) && !isOwnPort(view, port)) ports.add(port);
      }
  return [...ports].sort();
});

/** port, `1` where HTTP is spoken, services that are told apart by address range or server name */
function resolveSharedPort(view: View, port: Key): readonly Key[] {
  let http = '';
  const others: Key[] = [];
  for (const key of servicesOnPort(view, port)) {
    const how = view.call(portKinds, key).find((entry) => entry.startsWith(`${port}/`));
    if (how === `${port}/http`) http = '1';
    else if (how === `${port}/shared`) others.push(key);
  }
  return [port, http, others.join(',')];
}

function planSharedPort(view: View, portText: Key, http: Key, keys: Key): ListenerPlan | undefined {
  const port = Number(portText);
  const chains: FilterChainPlan[] = [];
  let fallback: FilterChainPlan | undefined;
  let origin: Origin = meshOrigin('');
  let sniffed = false;
  const taken = new Set<string>();
  for (const key of keys === '' ? [] : keys.split(',')) {
    const service = view.get(serviceKind, key);
    const found = service && findPort(service, port);
    if (!service || !found) continue;
    if (http === '' && chains.length === 0) origin = service.origin;
    if (isSniffed(found)) sniffed = true;
    const bases = sharedConditions(service, found);
    // Without anything to tell it by, a service takes what is left; undeclared protocols are looked at first.
    if (bases.length === 0 && isSniffed(found)) continue;
    for (const chain of targetChains(view, service, found, bases.length > 0 ? bases : [{}])) {
      const id = JSON.stringify(chain.match);
      // Equal matches would make Envoy refuse the listener: the first by key has them.
      if (id === '{}') fallback ??= chain;
      else if (!taken.has(id)) chains.push(chain);
      taken.add(id);
    }
  }
  // Applications also call hosts outside the mesh on this port, by whatever protocol: only HTTP is routed by Host.
  if (http !== '' || sniffed)
    chains.push(httpChain(view, portText, { applicationProtocols: sniffedHttp }, origin));
  const defaultChain = fallback ?? unknownChain(view);
  const on = wildcards(view);
  return listenerPlan({
    name: `${on[0]}_${port}`,
    ...listenOn(on),
    port,
    direction: 'outbound',
    bind: false,
    originalDestination: false,
    chains,
    defaultChain,
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin,
  });
}

/** How a service without an address of its own is recognised: by address ranges, or by the server name that TLS clients send. */
function sharedConditions(service: MeshService, port: ServicePort): ConnectionCondition[] {
  const ranges = service.addresses.filter((address) => address.includes('/')).map(canonicalRange);
  const name = isTlsPort(port) && service.hostname !== '*' ? { serverName: service.hostname } : {};
  if (ranges.length > 0) return ranges.map((destination) => ({ destination, ...name }));
  return name.serverName ? [name] : [];
}

export const sharedPortListeners: Shaper<ListenerPlan> = {
  name: 'outbound-shared',
  keys: sharedPorts,
  resolve: resolveSharedPort,
  plan: planSharedPort,
};

/** `host|port|address`: one listener for a service port's virtual IPs, one for each pod of a headless service. */
const addressKeys = defineQuery('outbound.address-listeners', (view): readonly Key[] =>
  isCaptured(view)
    ? firstPerPod(
        view.call(visibleHosts).flatMap((host) =>
          seenServices(view, host).flatMap(({ service, sees }) =>
            view.call(addressKeysOf, host, service).filter((key) => {
              const port = key.split('|')[1] ?? '';
              return sees(port) && !isOwnPort(view, port);
            }),
          ),
        ),
      )
    : [],
);

/** Several headless services may select the same pods: the first by host answers for a pod's port. */
function firstPerPod(keys: readonly Key[]): Key[] {
  const taken = new Set<string>();
  return keys.filter((key) => {
    if (key.endsWith('|')) return true;
    const pod = key.slice(key.indexOf('|') + 1);
    if (taken.has(pod)) return false;
    taken.add(pod);
    return true;
  });
}

const addressKeysOf = defineQuery(
  'outbound.address-keys-of',
  (view, host: Key, service: Key): readonly Key[] =>
    view.call(portKinds, service).flatMap((entry) => {
      const [port = '', how] = entry.split('/');
      if (how === 'address') return [`${host}|${port}|`];
      return how === 'pods'
        ? podAddresses(view, service, Number(port)).map((address) => `${host}|${port}|${address}`)
        : [];
    }),
);

/** service, port, the pod's address or '' */
function resolveAddress(view: View, key: Key): readonly Key[] {
  const [host = '', port = '', address = ''] = key.split('|');
  return [serviceOn(view, host, port), port, address];
}

function planAddress(view: View, key: Key, portText: Key, pod: Key): ListenerPlan | undefined {
  const service = view.get(serviceKind, key);
  const port = service && findPort(service, Number(portText));
  if (!service || !port) return undefined;
  const [address, ...additionalAddresses] = pod === '' ? virtualIps(view, key) : [pod];
  if (address === undefined) return undefined;
  const chains = targetChains(view, service, port, [{}]);
  return listenerPlan({
    name: `${address}_${port.port}`,
    address,
    ...(additionalAddresses.length > 0 ? { additionalAddresses } : {}),
    port: port.port,
    direction: 'outbound',
    bind: false,
    originalDestination: false,
    ...(isSniffed(port) ? withHttp(view, portText, chains, service.origin) : { chains }),
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin: service.origin,
  });
}

/** HTTP is told from the rest first: every condition on the connection has a chain for each. */
function withHttp(
  view: View,
  port: string,
  tcp: readonly FilterChainPlan[],
  origin: Origin,
): Pick<ListenerPlan, 'chains' | 'defaultChain'> {
  const limited = tcp.slice(0, -1);
  const rest = tcp.at(-1);
  const http = [...limited.map(({ match }) => match), {}].map((match, index) => {
    const chain = httpChain(view, port, { ...match, applicationProtocols: sniffedHttp }, origin);
    return index === 0 ? chain : { ...chain, name: `${chain.name}#${index}` };
  });
  return { chains: [...http, ...limited], ...(rest ? { defaultChain: rest } : {}) };
}

export const addressListeners: Shaper<ListenerPlan> = {
  name: 'outbound-address',
  keys: addressKeys,
  resolve: resolveAddress,
  plan: planAddress,
};

function httpChain(
  view: View,
  port: string,
  match: FilterChainPlan['match'],
  origin: Origin,
): FilterChainPlan {
  return filterChainPlan({
    name: `http_${port}`,
    match,
    network: {
      type: 'http',
      routes: { type: 'discovered', name: port },
      statPrefix: `outbound_0.0.0.0_${port}`,
      role: 'outbound',
      mutualTls: false,
      ...(view.call(isLazy) ? { onDemand: 'hosts' as const } : {}),
      ...(view.call(usesDynamicDns) || view.call(outboundPolicy).mode === 'ALLOW_ANY_DYNAMIC_DNS'
        ? { dynamicForwardProxy: true }
        : {}),
    },
    direction: 'outbound',
    origin,
  });
}

export function targetChains(
  view: View,
  service: MeshService,
  port: ServicePort,
  bases: readonly ConnectionCondition[],
): FilterChainPlan[] {
  const target = {
    host: service.hostname,
    port: port.port,
    type: isTlsPort(port) ? 'tls' : 'tcp',
    origin: service.origin,
    chain: {
      ...(isSniffed(port) ? { offerOnly: meshAlpn } : {}),
      ...spokenOn(port.protocol, service.origin),
    },
  } as const;
  return tcpChains(view, target, bases);
}

function tcpTo(statPrefix: string, destinations: readonly Destination[]): TcpChain {
  return { type: 'tcp', statPrefix, destinations, idleTimeoutMs: 0 };
}

/** Connections to what nobody configured. */
function unknownChain(view: View): FilterChainPlan {
  const policy = view.call(outboundPolicy);
  const cluster = unknownCluster(policy);
  const { origin } = policy;
  return filterChainPlan({
    name: cluster === blackHoleCluster ? 'virtualOutbound-blackhole' : 'virtualOutbound-catchall-tcp',
    match: {},
    network: tcpTo(cluster, [{ cluster, weight: 1, origin }]),
    direction: 'outbound',
    origin,
  });
}

const catchAllNames = defineQuery('outbound.catch-all-listeners', (view): readonly Key[] =>
  isCaptured(view) ? ['virtualOutbound'] : [],
);

/** Where the kernel sends every outbound connection; hands it to the listener of its original destination. */
function planCatchAll(view: View, name: Key): ListenerPlan {
  const port = view.mesh('proxyListenPort');
  const origin = meshOrigin('proxyListenPort');
  return listenerPlan({
    name,
    ...listenOn(wildcards(view)),
    port,
    direction: 'outbound',
    bind: true,
    originalDestination: true,
    ...(view.attribute(captureMode) === 'tproxy' ? { transparent: true } : {}),
    chains: [
      // A connection to the proxy's own port would be forwarded to itself for ever.
      filterChainPlan({
        name: 'virtualOutbound-loop',
        match: { port },
        network: tcpTo(blackHoleCluster, [{ cluster: blackHoleCluster, weight: 1, origin }]),
        direction: 'outbound',
        origin,
      }),
    ],
    defaultChain: unknownChain(view),
    detectionTimeoutMs: 0,
    origin,
  });
}

export const catchAllListeners: Shaper<ListenerPlan> = {
  name: 'outbound-catch-all',
  keys: catchAllNames,
  plan: planCatchAll,
};

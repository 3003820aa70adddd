import { fromBinary, toJsonString } from '@bufbuild/protobuf';
import { FilterChainMatchSchema } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';

type ResourceSet = ReadonlyMap<string, ReadonlyMap<string, Resource>>;

/** What Envoy would refuse though each resource is well formed: domains, chains or addresses that occur twice. */
export function findConflicts(resources: ResourceSet): string[] {
  return [...domainConflicts(resources), ...chainConflicts(resources)];
}

function domainConflicts(resources: ResourceSet): string[] {
  const seen = new Set<string>();
  const conflicts: string[] = [];
  const take = (routes: string, domains: readonly string[]): void => {
    for (const domain of domains) {
      const id = `${routes} ${domain.toLowerCase()}`;
      if (seen.has(id)) conflicts.push(`domain ${domain} twice in ${routes}`);
      seen.add(id);
    }
  };
  for (const resource of resources.get(typeUrls.route)?.values() ?? []) {
    const message = fromBinary(RouteConfigurationSchema, resource.bytes);
    const names = new Set<string>();
    for (const host of message.virtualHosts) {
      take(message.name, host.domains);
      if (names.has(host.name)) conflicts.push(`virtual host ${host.name} twice in ${message.name}`);
      names.add(host.name);
    }
  }
  for (const resource of resources.get(typeUrls.virtualHost)?.values() ?? [])
    take(
      resource.name.slice(0, resource.name.indexOf('/')),
      fromBinary(VirtualHostSchema, resource.bytes).domains,
    );
  return conflicts;
}

function chainConflicts(resources: ResourceSet): string[] {
  const conflicts: string[] = [];
  const addresses = new Map<string, string>();
  for (const resource of resources.get(typeUrls.listener)?.values() ?? []) {
    const listener = fromBinary(ListenerSchema, resource.bytes);
    const matches = new Set<string>();
    for (const chain of listener.filterChains) {
      const match = chain.filterChainMatch
        ? toJsonString(FilterChainMatchSchema, chain.filterChainMatch)
        : '{}';
      if (matches.has(match)) conflicts.push(`chain match ${match} twice in ${listener.name}`);
      matches.add(match);
      const names = chain.filterChainMatch?.serverNames ?? [];
      if (new Set(names).size < names.length) conflicts.push(`a server name twice in ${listener.name}`);
    }
    const { address } = listener.address ?? {};
    if (address?.case !== 'socketAddress') continue;
    const { address: ip, portSpecifier, protocol } = address.value;
    const id = `${ip}:${portSpecifier.value}/${protocol}`;
    const other = addresses.get(id);
    if (other) conflicts.push(`${other} and ${listener.name} both have ${id}`);
    addresses.set(id, listener.name);
  }
  return conflicts;
}

import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Model, ModelWorkload } from '../model/model.ts';
import { unpack } from '../simulate/decoded-resources.ts';

/** URLs that are tried at one gateway, at most. */
const mostUrls = 50;
/** Stands for any host where a route takes every one. */
const anyHost = 'any.example';

/** What clients outside write to reach the routes of a gateway, without paths: its hosts at its ports. */
export function gatewayUrls(model: Model, { proxy }: ModelWorkload): readonly string[] {
  if (!proxy) return [];
  const resources = model.resources(proxy);
  const found = new Set<string>();
  for (const { address, filterChains, defaultFilterChain } of resources.listeners()) {
    const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined;
    if (socket?.portSpecifier.case !== 'portValue') continue;
    for (const chain of [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])])
      for (const { configType } of chain.filters) {
        const config = configType.case === 'typedConfig' ? configType.value : undefined;
        const from = unpack(config, HttpConnectionManagerSchema)?.routeSpecifier;
        const routes =
          from?.case === 'rds'
            ? resources.routeConfiguration(from.value.routeConfigName)
            : from?.case === 'routeConfig'
              ? from.value
              : undefined;
        const scheme = chain.transportSocket ? 'https' : 'http';
        for (const { domains } of routes ? resources.virtualHosts(routes) : [])
          for (const domain of domains)
            found.add(`${scheme}://${nameOf(domain)}:${socket.portSpecifier.value}`);
      }
  }
  return [...found].slice(0, mostUrls);
}

function nameOf(domain: string): string {
  const name = domain.replace(/:(\d+|\*)$/, '');
  if (name === '*') return anyHost;
  return name.startsWith('*') ? `x${name.slice(1)}` : name;
}

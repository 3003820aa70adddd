import type { Endpoint } from '../registry/service.ts';
import { endpointsByAddress, endpointsByWorkload, endpointsKind } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { captureMode, proxyAddresses, workloadId } from './attributes.ts';

/**
 * What the asking proxy's workload serves: `port|service port|service`, sorted. Found by workload id. Endpoints written by hand
 * name no workload: for them the address must do, except in explicit capture, where everybody has the same one.
 */
export const ownEndpoints = defineQuery('own-endpoints', (view): readonly string[] => {
  const id = view.attribute(workloadId);
  const found = collect(
    view,
    view.list(endpointsByWorkload, id),
    (endpoint) => `${endpoint.namespace}/${endpoint.workload}` === id,
  );
  if (found.length > 0 || view.attribute(captureMode) === 'explicit') return found;
  const addresses = view.attribute(proxyAddresses).split(',');
  return collect(
    view,
    addresses.flatMap((address) => [...view.list(endpointsByAddress, address)]),
    (endpoint) =>
      endpoint.workload === '' &&
      [endpoint.address, ...(endpoint.additionalAddresses ?? [])].some((address) =>
        addresses.includes(address),
      ),
  );
});

function collect(view: View, services: readonly Key[], isOwn: (endpoint: Endpoint) => boolean): string[] {
  const ports = new Set<string>();
  for (const service of services)
    for (const endpoint of view.get(endpointsKind, service)?.endpoints ?? [])
      if (isOwn(endpoint)) ports.add(`${endpoint.port}|${endpoint.servicePort}|${service}`);
  return [...ports].sort();
}

export interface OwnEndpoint {
  readonly port: number;
  readonly servicePort: number;
  readonly service: Key;
}

export function splitOwnEndpoint(entry: string): OwnEndpoint {
  const [port, servicePort, service = ''] = entry.split('|');
  return { port: Number(port), servicePort: Number(servicePort), service };
}

import type { Model, ModelWorkload } from '../model/model.ts';
import { endpointsKind, servicesByHost } from '../snapshot/kinds.ts';
import type { Claim } from './claim.ts';

/** A port of a workload that serves what a claim is about. */
export interface Server {
  readonly at: ModelWorkload;
  /** Where it listens. */
  readonly port: number;
  readonly servicePort: number;
  readonly hostname: string;
}

/** Every workload behind a service, of each template one. Undefined: there is no such service. */
export function serversOf(model: Model, { service, namespace, port }: Claim): Server[] | undefined {
  const hostname = `${service}.${namespace}.svc.${model.mesh.domainSuffix}`;
  const { world } = model;
  const keys = world.list(servicesByHost, hostname);
  if (keys.length === 0) return undefined;
  const found = new Map<string, Server>();
  for (const key of keys)
    for (const endpoint of world.get(endpointsKind, key)?.endpoints ?? []) {
      const at = model.workloads.get(`${endpoint.namespace}/${endpoint.workload}`);
      if (!at || (port !== undefined && endpoint.servicePort !== port)) continue;
      const id = `${at.key} ${endpoint.port} ${endpoint.servicePort}`;
      found.set(id, { at, port: endpoint.port, servicePort: endpoint.servicePort, hostname });
    }
  return [...found.values()];
}

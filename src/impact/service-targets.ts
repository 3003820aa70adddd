import { socketText } from '../explain/hop.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import type { Model } from '../model/model.ts';
import type { MeshService, ServiceEndpoints } from '../registry/service.ts';
import { allServices, endpointsByWorkload, endpointsKind, serviceKind } from '../snapshot/kinds.ts';
import { everyPort, hostNames, type Target, targetUrl, unknownHost } from './target.ts';

/** A target that a workload serves, and the port of its own that the service calls. */
export interface ServedTarget extends Target {
  readonly endpointPort: number;
}

/** The services and ports by which a workload is called. Asks for the model's world. */
export function servedTargets(workload: string, { world }: Model): ServedTarget[] {
  const found: ServedTarget[] = [];
  for (const key of world.list(endpointsByWorkload, workload)) {
    const value = world.get(endpointsKind, key);
    const service = world.get(serviceKind, key);
    for (const endpoint of value?.endpoints ?? []) {
      if (`${endpoint.namespace}/${endpoint.workload}` !== workload || !value) continue;
      const protocol = service?.ports.find(({ port }) => port === endpoint.servicePort)?.protocol ?? 'TCP';
      found.push({
        scheme: connectionProtocols.has(protocol) ? 'tcp' : 'http',
        host: value.hostname,
        port: endpoint.servicePort,
        endpointPort: endpoint.port,
      });
    }
  }
  // What one service takes for connections, another may know to be HTTP: so does the server's proxy then.
  const http = new Set(found.flatMap(({ scheme, endpointPort }) => (scheme === 'http' ? endpointPort : [])));
  const also = found.filter(({ scheme, endpointPort }) => scheme === 'tcp' && http.has(endpointPort));
  return [...found, ...also.map((one): ServedTarget => ({ ...one, scheme: 'http' }))];
}

const connectionProtocols: ReadonlySet<string> = new Set([
  'TCP',
  'TLS',
  'HTTPS',
  'Mongo',
  'MySQL',
  'Redis',
  'UDP',
]);

/** A service with its endpoints, as the registry has it. */
type Known = ReadonlyMap<
  string,
  { readonly service: MeshService; readonly endpoints: ServiceEndpoints | undefined }
>;

/** Asks for the model's world. */
export function knownServices({ world }: Model): Known {
  return new Map(
    world.list(allServices, '').flatMap((key) => {
      const service = world.get(serviceKind, key);
      return service ? [[key, { service, endpoints: world.get(endpointsKind, key) }] as const] : [];
    }),
  );
}

/**
 * Services that are not what they were: whoever looks them up finds another address, or somebody else at the same, whatever its proxy
 * holds.
 */
export function changedServices(before: Known, after: Known, isMoved: (socket: string) => boolean): Target[] {
  return serviceTargets(before, after, (key) => {
    const [old, now] = [before.get(key), after.get(key)];
    if (!deepEqual(old?.service, now?.service) || !deepEqual(old?.endpoints, now?.endpoints)) return true;
    return now?.endpoints?.endpoints.some(({ address, port }) => isMoved(socketText(address, port))) === true;
  });
}

/** Names that are looked up to another address than before, or were or will be nobody's. */
export function movedNames(before: Known, after: Known): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].flatMap((key) => {
    const [old, now] = [before, after].map((side) => side.get(key)?.service);
    return deepEqual(old?.addresses, now?.addresses) ? [] : hostNames([(now ?? old)?.hostname ?? '']);
  });
}

/** The addresses of services that have others than before, with the services' ports. */
export function movedAddresses(before: Known, after: Known): Target[] {
  return [before, after].flatMap((side) =>
    [...side].flatMap(([key, { service }]) => {
      const { service: other } = (side === before ? after : before).get(key) ?? {};
      const gone = service.addresses.filter((address) => !other?.addresses.includes(address));
      const ports = service.ports.map(({ port }) => port);
      return gone.flatMap((address) => everyPort(address, ports));
    }),
  );
}

/** The services of both sides, by every port. */
export function serviceTargets(
  before: Known,
  after: Known,
  isAsked: (key: string) => boolean = () => true,
): Target[] {
  const found = new Map<string, Target>();
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    if (!isAsked(key)) continue;
    for (const service of [before.get(key)?.service, after.get(key)?.service])
      for (const { port, protocol } of service?.ports ?? []) {
        const target: Target = {
          scheme: connectionProtocols.has(protocol) ? 'tcp' : 'http',
          host: hostNames([service?.hostname ?? ''])[0] ?? unknownHost,
          port,
        };
        found.set(targetUrl(target), target);
      }
  }
  return [...found.values()];
}

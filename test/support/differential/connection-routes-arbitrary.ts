import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { maybe } from '../draw.ts';
import { apiGateway } from '../gateway-api-arbitrary.ts';
import { opaquePorts } from './opaque-arbitrary.ts';

/*
 * TCPRoutes and TLSRoutes of the Gateway API, at its Gateway and in the mesh, for the services of opaque-arbitrary.ts.
 */

/** Of the Gateway. */
export const routedPorts = { tcp: 9001, tls: 9444 } as const;

const group = 'gateway.networking.k8s.io';
const serverNames = ['db.shop.svc.cluster.local', '*.shop.svc.cluster.local', 'db.bank.svc.cluster.local'];

/** The Gateway with ports for connections. */
function withListeners(random: Random, gateway: ConfigObject): ConfigObject {
  const spec = gateway.spec as { readonly listeners: readonly object[] };
  const allowedRoutes = { namespaces: { from: 'All' } };
  const more = [
    { name: 'bytes', port: routedPorts.tcp, protocol: 'TCP', allowedRoutes },
    {
      name: 'through',
      port: routedPorts.tls,
      protocol: 'TLS',
      tls: { mode: 'Passthrough' },
      allowedRoutes,
      ...maybe(random, 0.3, () => ({ hostname: random.pick(serverNames) })),
    },
  ];
  return { ...gateway, spec: { ...spec, listeners: [...spec.listeners, ...more] } };
}

function route(random: Random, kind: 'TCPRoute' | 'TLSRoute', index: number): ConfigObject {
  const toGateway = {
    name: apiGateway,
    namespace: 'istio-system',
    ...maybe(random, 0.5, () => ({ sectionName: kind === 'TCPRoute' ? 'bytes' : 'through' })),
  };
  const toService = {
    group: '',
    kind: 'Service',
    name: 'db',
    ...maybe(random, 0.5, () => ({ port: random.pick(Object.values(opaquePorts)) })),
  };
  const backend = () => ({
    name: random.chance(0.9) ? 'db' : 'nobody',
    port: random.pick(Object.values(opaquePorts)),
    ...maybe(random, 0.3, () => ({ weight: random.pick([0, 1, 50]) })),
  });
  return {
    apiVersion: `${group}/v1`,
    kind,
    metadata: {
      name: `${kind.toLowerCase()}${index}`,
      namespace: random.pick(['shop', 'bank']),
      creationTimestamp: random.pick(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']),
    },
    spec: {
      parentRefs: random.pick([[toGateway], [toGateway], [toService], [toGateway, toService]]),
      ...(kind === 'TLSRoute' ? { hostnames: [random.pick(serverNames)] } : {}),
      rules: [{ backendRefs: Array.from({ length: 1 + random.below(2) }, backend) }],
    },
  };
}

/** The configuration of the Gateway API, where it has one, with routes of connections. */
export function withConnectionRoutes(random: Random, config: readonly ConfigObject[]): ConfigObject[] {
  if (config.length === 0) return [];
  const isGateway = ({ kind, apiVersion }: ConfigObject) =>
    kind === 'Gateway' && apiVersion.startsWith(group);
  return [
    ...config.map((object) => (isGateway(object) ? withListeners(random, object) : object)),
    ...Array.from({ length: random.below(3) }, (_, index) => route(random, 'TCPRoute', index)),
    ...Array.from({ length: random.below(3) }, (_, index) => route(random, 'TLSRoute', index)),
  ];
}

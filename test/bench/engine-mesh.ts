import { create, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { defineAttribute } from '../../src/snapshot/attribute.ts';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import { defineCollection, defineQuery } from '../../src/snapshot/query.ts';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { testProxy } from '../../src/snapshot/testing.ts';
import { defineIndex, defineKindToken, type WorldChange } from '../../src/snapshot/world.ts';

/** A mesh like the one of the budgets: services with endpoints, a part with a rule and subsets, in real Envoy messages. */

interface BenchService {
  readonly host: string;
  readonly namespace: string;
  readonly port: number;
}
interface BenchRule {
  readonly host: string;
  readonly weight: number;
  readonly sourceLabels?: Readonly<Record<string, string>>;
}
interface BenchTraffic {
  readonly host: string;
  readonly subsets: readonly string[];
  readonly maxRequests: number;
}
interface BenchEndpoints {
  readonly addresses: readonly { readonly ip: string; readonly version: string }[];
}

const serviceKind = defineKindToken<BenchService>('bench-service');
const ruleKind = defineKindToken<BenchRule>('bench-rule');
const trafficKind = defineKindToken<BenchTraffic>('bench-traffic');
const endpointsKind = defineKindToken<BenchEndpoints>('bench-endpoints');
const policyKind = defineKindToken<{ namespace: string; app: string }>('bench-policy');

const services = defineIndex('bench-services', serviceKind, () => ['']);
const rulesByHost = defineIndex('bench-rules', ruleKind, (rule) => [rule.host]);
const trafficByHost = defineIndex('bench-traffic', trafficKind, (traffic) => [traffic.host]);
const policiesByNamespace = defineIndex('bench-policies', policyKind, (policy) => [policy.namespace]);

const namespaceOf = defineAttribute('bench-namespace', (proxy) => proxy.namespace);
const zoneOf = defineAttribute('bench-zone', (proxy) => proxy.locality.zone);

const trafficFor = defineQuery(
  'bench-traffic-for',
  (view, host: string) => view.list(trafficByHost, host)[0] ?? '',
);

const ruleFor = defineQuery('bench-rule-for', (view, host: string): string => {
  for (const key of view.list(rulesByHost, host)) {
    const labels = view.get(ruleKind, key)?.sourceLabels;
    if (labels === undefined || view.matches(labels)) return key;
  }
  return '';
});

/** Services are seen from everywhere, but a rule of one's own namespace would win: the namespace splits the classes. */
const scope = defineQuery('bench-scope', (view, key: string) => {
  const service = view.get(serviceKind, key);
  return service === undefined ? '' : view.attribute(namespaceOf);
});

function version(bytes: Uint8Array): string {
  let h = 0x811c9dc5;
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
  return (h >>> 0).toString(36) + bytes.length.toString(36);
}

function resource(typeUrl: string, name: string, bytes: Uint8Array): Resource {
  return { typeUrl, name, version: version(bytes), bytes, origins: [] };
}

const clusterResource = defineQuery(
  'bench-cluster',
  (view, key: string, trafficKey: string, subset: string) => {
    const service = view.get(serviceKind, key);
    if (service === undefined) return undefined;
    const traffic = trafficKey === '' ? undefined : view.get(trafficKind, trafficKey);
    const name = `outbound|${service.port}|${subset}|${service.host}`;
    const cluster = create(ClusterSchema, {
      name,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: {
        serviceName: name,
        edsConfig: { configSourceSpecifier: { case: 'ads', value: {} } },
      },
      connectTimeout: { seconds: BigInt(Number.parseInt(view.mesh('connectTimeout'), 10)), nanos: 0 },
      circuitBreakers: { thresholds: [{ maxRequests: traffic?.maxRequests ?? 4_294_967_295 }] },
      metadata: {
        filterMetadata: {
          istio: { default_original_port: service.port, services: [{ host: service.host }] },
        },
      },
    });
    return resource(typeUrls.cluster, name, toBinary(ClusterSchema, cluster));
  },
);

const endpointResource = defineQuery('bench-endpoint', (view, key: string, subset: string, zone: string) => {
  const service = view.get(serviceKind, key);
  const found = view.get(endpointsKind, key);
  if (service === undefined || found === undefined) return undefined;
  const name = `outbound|${service.port}|${subset}|${service.host}`;
  const lbEndpoints = found.addresses
    .filter((address) => subset === '' || address.version === subset)
    .map(({ ip }) => ({
      hostIdentifier: {
        case: 'endpoint' as const,
        value: {
          address: {
            address: {
              case: 'socketAddress' as const,
              value: { address: ip, portSpecifier: { case: 'portValue' as const, value: 8080 } },
            },
          },
        },
      },
    }));
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [{ locality: { zone }, lbEndpoints }],
  });
  return resource(typeUrls.endpoints, name, toBinary(ClusterLoadAssignmentSchema, message));
});

const virtualHostResource = defineQuery('bench-virtual-host', (view, key: string, ruleKey: string) => {
  const service = view.get(serviceKind, key);
  if (service === undefined) return undefined;
  const rule = ruleKey === '' ? undefined : view.get(ruleKind, ruleKey);
  const cluster = (subset: string) => `outbound|${service.port}|${subset}|${service.host}`;
  const short = service.host.split('.', 1)[0] ?? '';
  const action =
    rule === undefined
      ? { clusterSpecifier: { case: 'cluster' as const, value: cluster('') } }
      : {
          clusterSpecifier: {
            case: 'weightedClusters' as const,
            value: {
              clusters: [
                { name: cluster('v1'), weight: rule.weight },
                { name: cluster('v2'), weight: 100 - rule.weight },
              ],
            },
          },
        };
  const message = create(VirtualHostSchema, {
    name: `${service.port}/${service.host}:${service.port}`,
    domains: [
      service.host,
      `${service.host}:${service.port}`,
      `${short}.${service.namespace}.svc`,
      `${short}.${service.namespace}`,
    ],
    routes: [
      {
        match: { pathSpecifier: { case: 'prefix', value: '/' } },
        action: { case: 'route', value: { ...action, timeout: { seconds: 0n, nanos: 0 } } },
      },
    ],
  });
  return resource(typeUrls.virtualHost, message.name, toBinary(VirtualHostSchema, message));
});

const serviceKeys = defineQuery('bench-service-keys', (view) => view.list(services, ''));

/** `service key` and `service key#subset`. */
const subsetsOf = defineQuery('bench-subsets', (view, key: string): readonly string[] => {
  const host = view.get(serviceKind, key)?.host;
  const traffic = host === undefined ? undefined : view.get(trafficKind, view.call(trafficFor, host));
  return ['', ...(traffic?.subsets ?? [])];
});
const clusterKeys = defineQuery('bench-cluster-keys', (view) =>
  view.list(services, '').flatMap((key) => view.call(subsetsOf, key).map((subset) => `${key}#${subset}`)),
);

function splitKey(key: string): [string, string] {
  const hash = key.indexOf('#');
  return [key.slice(0, hash), key.slice(hash + 1)];
}

export const benchRoots = [
  defineCollection(
    'bench-clusters',
    clusterKeys,
    defineQuery('bench-cluster-item', (view, id: string) => {
      const [key, subset] = splitKey(id);
      if (view.call(scope, key) === '') return undefined;
      const host = view.get(serviceKind, key)?.host ?? '';
      return view.call(clusterResource, key, view.call(trafficFor, host), subset);
    }),
  ),
  defineCollection(
    'bench-endpoints',
    clusterKeys,
    defineQuery('bench-endpoint-item', (view, id: string) => {
      const [key, subset] = splitKey(id);
      return view.call(endpointResource, key, subset, view.attribute(zoneOf));
    }),
  ),
  defineCollection(
    'bench-virtual-hosts',
    serviceKeys,
    defineQuery('bench-virtual-host-item', (view, key: string) => {
      if (view.call(scope, key) === '') return undefined;
      return view.call(virtualHostResource, key, view.call(ruleFor, view.get(serviceKind, key)?.host ?? ''));
    }),
  ),
  defineCollection(
    'bench-inbound',
    defineQuery('bench-inbound-keys', () => ['inbound']),
    defineQuery('bench-inbound-item', (view, key: string) => {
      const policies = view
        .list(policiesByNamespace, view.attribute(namespaceOf))
        .filter((policy) => view.matches({ app: view.get(policyKind, policy)?.app ?? '' }));
      const bytes = new TextEncoder().encode(policies.join());
      return resource(typeUrls.listener, key, bytes);
    }),
  ),
];

export interface MeshSize {
  readonly services: number;
  readonly namespaces: number;
}

export const serviceKey = (i: number, { namespaces }: MeshSize) => `ns${i % namespaces}/svc${i}`;
const hostOf = (i: number, { namespaces }: MeshSize) => `svc${i}.ns${i % namespaces}.svc.cluster.local`;

export function serviceChanges(i: number, size: MeshSize): WorldChange[] {
  const key = serviceKey(i, size);
  const namespace = `ns${i % size.namespaces}`;
  return [
    { kind: 'bench-service', key, value: { host: hostOf(i, size), namespace, port: 8080 } },
    endpointChange(i, size, 0),
  ];
}

export function endpointChange(i: number, size: MeshSize, move: number): WorldChange {
  const addresses = Array.from({ length: 5 }, (_, n) => ({
    ip: `10.${i >> 8}.${i & 255}.${n === 0 ? 100 + (move % 100) : n}`,
    version: n % 2 === 0 ? 'v1' : 'v2',
  }));
  return { kind: 'bench-endpoints', key: serviceKey(i, size), value: { addresses } };
}

export function ruleChange(
  i: number,
  size: MeshSize,
  weight: number,
  sourceLabels?: Record<string, string>,
): WorldChange {
  const value = { host: hostOf(i, size), weight, ...(sourceLabels ? { sourceLabels } : {}) };
  return { kind: 'bench-rule', key: serviceKey(i, size), value };
}

export function trafficChange(i: number, size: MeshSize, maxRequests: number): WorldChange {
  const value = { host: hostOf(i, size), subsets: ['v1', 'v2'], maxRequests };
  return { kind: 'bench-traffic', key: serviceKey(i, size), value };
}

/** A fifth of the services have a rule and subsets. */
export function meshChanges(size: MeshSize): WorldChange[] {
  const changes: WorldChange[] = [];
  for (let i = 0; i < size.services; i++) {
    changes.push(...serviceChanges(i, size));
    if (i % 5 === 0) changes.push(ruleChange(i, size, 50), trafficChange(i, size, 100));
  }
  for (let n = 0; n < size.namespaces; n++)
    changes.push({ kind: 'bench-policy', key: `ns${n}/p`, value: { namespace: `ns${n}`, app: `app${n}` } });
  return changes;
}

export function benchProxy(i: number, namespaces: number, labelSets: number): MeshProxy {
  const namespace = `ns${i % namespaces}`;
  return testProxy(`p${i}`, { namespace, labels: { app: `app${i % labelSets}`, version: 'v1' } });
}

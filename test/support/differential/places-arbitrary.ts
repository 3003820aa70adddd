import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { maybe } from '../draw.ts';

/*
 * Where endpoints are: regions, zones, ports where nobody listens, agents that report a sick application. Drawn over what
 * traffic-arbitrary.ts made.
 */

/** Of the client of the differential test; its gateway is in the other region. */
export const clientPlace = { region: 'r1', zone: 'z1', subZone: 's1' };
export const gatewayPlace = { region: 'r2', zone: 'z1', subZone: 's1' };

const localities = ['r1/z1/s1', 'r1/z1/s2', 'r1/z2', 'r2/z1', 'r3', 'r3/z1/s1'];

interface Endpoint {
  readonly ports: Readonly<Record<string, number>>;
  readonly labels?: Readonly<Record<string, string>>;
}

function placed<T extends object>(random: Random, endpoint: T): T {
  return {
    ...endpoint,
    ...maybe(random, 0.85, () => ({ locality: random.pick(localities) })),
    ...maybe(random, 0.2, () => ({ weight: random.pick([1, 5]) })),
  };
}

/** An endpoint more, where nobody listens. */
function dead(random: Random, ports: readonly string[], port: number) {
  return {
    address: '127.0.0.1',
    ports: Object.fromEntries(ports.map((name) => [name, port])),
    labels: { version: random.pick(['v1', 'v2']) },
  };
}

function withEndpoints(random: Random, entry: ConfigObject, deadPort: number): ConfigObject {
  const spec = entry.spec as { readonly ports: { readonly name: string }[]; readonly endpoints?: Endpoint[] };
  if (!spec.endpoints) return entry;
  const names = spec.ports.map(({ name }) => name);
  // Of whoever takes HTTPS behind the gateway the test sees no more than the answer.
  const mayDie = entry.metadata.name !== 'pass';
  const more = random.chance(0.15) && mayDie ? [dead(random, names, deadPort)] : [];
  const endpoints = [...spec.endpoints, ...more].map((one) => placed(random, one));
  return { ...entry, spec: { ...spec, endpoints } };
}

function workload(random: Random, entry: ConfigObject): ConfigObject {
  const spec = placed(random, entry.spec as object);
  if (random.chance(0.85)) return { ...entry, spec } as ConfigObject;
  const status = { conditions: [{ type: 'Healthy', status: random.pick(['True', 'False', 'False']) }] };
  return { ...entry, spec, status } as ConfigObject;
}

function nearness(random: Random): object {
  return random.pick<() => object>([
    () => ({}),
    () => ({ enabled: false }),
    () => ({ failover: [{ from: random.pick(['r1', 'r2']), to: random.pick(['r2', 'r3']) }] }),
    () => ({
      failoverPriority: random.pick([
        ['version'],
        ['version=v1'],
        ['version=v2', 'app'],
        ['topology.kubernetes.io/region'],
      ]),
    }),
    () => ({
      distribute: [
        {
          from: random.pick(['r1/*', 'r2/z1/*', '*']),
          to: random.pick([{ 'r1/*': 80, 'r2/*': 20 }, { 'r3/*': 100 }, { 'r1/z1/*': 100 }]),
        },
      ],
    }),
  ])();
}

/** Nobody is thrown out by what Envoy saw before: that would be another answer to the same request. */
const patient = { consecutive5xxErrors: 0, consecutiveGatewayErrors: 0 };

function rule(random: Random, object: ConfigObject): ConfigObject {
  if (random.chance(0.5)) return object;
  const spec = object.spec as { readonly trafficPolicy?: { readonly loadBalancer?: object } };
  const { trafficPolicy = {} } = spec;
  return {
    ...object,
    spec: {
      ...spec,
      trafficPolicy: {
        ...trafficPolicy,
        outlierDetection: patient,
        ...maybe(random, 0.7, () => ({
          loadBalancer: {
            ...(trafficPolicy.loadBalancer ?? { simple: 'ROUND_ROBIN' }),
            localityLbSetting: nearness(random),
          },
        })),
      },
    },
  };
}

/** The configuration with its endpoints in places; `deadPort`: where nobody listens. */
export function withPlaces(
  random: Random,
  config: readonly ConfigObject[],
  deadPort: number,
): ConfigObject[] {
  return config.map((object) => {
    switch (object.kind) {
      case 'ServiceEntry':
        return withEndpoints(random, object, deadPort);
      case 'WorkloadEntry':
        return workload(random, object);
      case 'DestinationRule':
        return rule(random, object);
      case 'Service':
        return {
          ...object,
          spec: {
            ...(object.spec as object),
            ...maybe(random, 0.15, () => ({
              trafficDistribution: random.pick(['PreferClose', 'PreferSameZone']),
            })),
          },
        };
      default:
        return object;
    }
  });
}

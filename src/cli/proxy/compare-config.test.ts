import { expect, test } from 'vitest';
import { compareConfig } from './compare-config.ts';
import type { ConfigDump } from './config-dump.ts';
import { formatComparison } from './format-comparison.ts';

const type = (name: string) => `type.googleapis.com/envoy.admin.v3.${name}`;
const plain = new Proxy({}, { get: () => (text: string) => text }) as never;

/** As the control plane writes it (JSON names), or as Envoy does (field names). */
function dump(
  style: 'ours' | 'envoy',
  value: { timeout?: string; hosts?: string[]; refused?: string; weight?: number },
): ConfigDump {
  const key = (name: string) =>
    style === 'envoy' ? name : name.replaceAll(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
  const { timeout = '10s', hosts = ['a', 'b'], refused, weight } = value;
  return {
    configs: [
      {
        '@type': type('ClustersConfigDump'),
        [key('dynamic_active_clusters')]: [
          {
            cluster: {
              '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
              name: 'outbound|80||a',
              type: 'EDS',
              [key('connect_timeout')]: timeout,
            },
          },
        ],
      },
      {
        '@type': type('ListenersConfigDump'),
        [key('dynamic_listeners')]: [
          {
            name: 'in',
            [key('active_state')]: {
              listener: { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'in' },
            },
            ...(refused === undefined ? {} : { error_state: { details: refused } }),
          },
        ],
      },
      {
        '@type': type('RoutesConfigDump'),
        [key('dynamic_route_configs')]: [
          {
            [key('route_config')]: {
              '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
              name: '80',
              [key('virtual_hosts')]: hosts.map((name) => ({ name, domains: [name] })),
            },
          },
        ],
      },
      {
        '@type': type('EndpointsConfigDump'),
        [key('dynamic_endpoint_configs')]: [
          {
            [key('endpoint_config')]: {
              '@type': 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
              [key('cluster_name')]: 'outbound|80||a',
              endpoints: [
                {
                  ...(style === 'envoy' ? { locality: {}, load_balancing_weight: 0 } : {}),
                  [key('lb_endpoints')]: [
                    {
                      endpoint: {
                        address: {
                          [key('socket_address')]: { address: '10.0.0.1', [key('port_value')]: 80 },
                        },
                      },
                      ...(weight === undefined ? {} : { [key('load_balancing_weight')]: weight }),
                      ...(style === 'envoy' ? { health_status: 'HEALTHY' } : {}),
                    },
                  ],
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

test('the same in other words is the same: names of fields, order of virtual hosts, defaults that Envoy writes', () => {
  const same = compareConfig(
    dump('ours', {}),
    dump('envoy', { timeout: '10.000s', hosts: ['b', 'a'], weight: 1 }),
  );
  expect(same.differences).toEqual([]);
  expect(same.sent).toEqual({ Cluster: 1, Endpoints: 1, Listener: 1, Route: 1, Extension: 0 });
});

test('what differs is named by its field, with Envoy’s refusal where there was one', () => {
  const { differences } = compareConfig(
    dump('ours', { timeout: '5s', hosts: ['a', 'c'], weight: 3 }),
    dump('envoy', { refused: 'no such filter' }),
  );
  expect(differences).toEqual([
    {
      type: 'Cluster',
      name: 'outbound|80||a',
      state: 'differs',
      fields: [{ path: 'connect_timeout', sent: '5s', held: '10s' }],
    },
    {
      type: 'Endpoints',
      name: 'outbound|80||a',
      state: 'differs',
      fields: [{ path: 'endpoints.10.0.0.1:80.weight', sent: 3, held: 1 }],
    },
    { type: 'Listener', name: 'in', state: 'differs', refusal: 'no such filter', fields: [] },
    {
      type: 'Route',
      name: '80',
      state: 'differs',
      fields: [
        { path: 'virtual_hosts[1].name', sent: 'c', held: 'b' },
        { path: 'virtual_hosts[1].domains[0]', sent: 'c', held: 'b' },
      ],
    },
  ]);
  const text = formatComparison(
    { sent: { Cluster: 1, Endpoints: 1, Listener: 1, Route: 1, Extension: 0 }, differences },
    plain,
  );
  expect(text).toContain('connect_timeout: "5s" → in Envoy "10s"');
  expect(text).toContain('refused: no such filter');
});

test('what is missing, and what is held beyond it', () => {
  const none: ConfigDump = { configs: [] };
  expect(compareConfig(dump('ours', {}), none).differences.map(({ state }) => state)).toEqual(
    Array(4).fill('missing'),
  );
  // Envoy shows endpoints of static clusters among those that were sent.
  expect(
    compareConfig(none, dump('envoy', {})).differences.map(({ type: of, state }) => [of, state]),
  ).toEqual([
    ['Cluster', 'extra'],
    ['Listener', 'extra'],
    ['Route', 'extra'],
  ]);
});

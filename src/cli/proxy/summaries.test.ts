import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  bootstrapOf,
  type ConfigDump,
  clustersOf,
  listenersOf,
  originOf,
  routesOf,
  secretsOf,
} from './config-dump.ts';
import {
  clusterTable,
  endpointRows,
  endpointTable,
  filterClusters,
  filterListeners,
  listenerTable,
  parseClusterName,
  routeTable,
  secretTable,
} from './summaries.ts';

const origin = (text: string) => ({ filter_metadata: { ostria: { origin: text } } });
const hcm =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const tcp = 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const socket = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });

const dump: ConfigDump = {
  configs: [
    { '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump', bootstrap: { node: { id: 'n' } } },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
      static_clusters: [{ cluster: { name: 'xds-grpc', type: 'STATIC' } }],
      dynamic_active_clusters: [
        {
          cluster: {
            name: 'outbound|9080|v1|reviews.default.svc.cluster.local',
            type: 'EDS',
            metadata: origin('DestinationRule/default/reviews#spec.subsets[0]'),
          },
        },
        { cluster: { name: 'inbound|9080||', cluster_type: { name: 'envoy.clusters.static' } } },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump',
      dynamic_listeners: [
        {
          name: 'a',
          active_state: {
            listener: {
              address: socket(9080),
              filter_chains: [
                {
                  filter_chain_match: { server_names: ['a.example'], transport_protocol: 'tls' },
                  filters: [{ typed_config: { '@type': tcp, cluster: 'outbound|443||a' } }],
                },
              ],
              default_filter_chain: {
                filters: [{ typed_config: { '@type': hcm, rds: { route_config_name: '9080' } } }],
              },
            },
          },
        },
        { name: 'refused', error_state: {} },
      ],
      static_listeners: [
        {
          listener: {
            address: socket(80),
            filter_chains: [{ filters: [{ typed_config: { '@type': tcp } }] }],
          },
        },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump',
      dynamic_route_configs: [
        {
          route_config: {
            name: '9080',
            virtual_hosts: [
              {
                name: 'reviews',
                domains: ['reviews.default.svc.cluster.local', 'reviews', 'reviews.default'],
                routes: [
                  {
                    match: { prefix: '/', headers: [{ name: 'end-user' }] },
                    metadata: origin('VirtualService/default/reviews#spec.http[0]'),
                  },
                  { match: { path: '/exact' } },
                  { match: { safe_regex: { regex: '/a.*' } } },
                ],
              },
            ],
          },
        },
      ],
    },
  ],
};

test('names of clusters are taken apart', () => {
  expect(parseClusterName('outbound|9080|v1|reviews.default')).toEqual({
    direction: 'outbound',
    port: '9080',
    subset: 'v1',
    fqdn: 'reviews.default',
  });
  expect(parseClusterName('BlackHoleCluster')).toBeUndefined();
});

test('the tables have istioctl’s columns', () => {
  expect(
    clusterTable(clustersOf(dump))
      .split('\n')
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'],
    ['', '9080', '-', 'inbound', 'envoy.clusters.static'],
    ['reviews.default.svc.cluster.local', '9080', 'v1', 'outbound', 'EDS', 'reviews.default'],
    ['xds-grpc', '-', '-', '-', 'STATIC'],
    [''],
  ]);
  expect(listenerTable(listenersOf(dump))).toBe(
    [
      'ADDRESSES   PORT   MATCH                        DESTINATION',
      '127.0.0.1   80     ALL                          Cluster: ',
      '127.0.0.1   9080   SNI: a.example; Trans: tls   Cluster: outbound|443||a',
      '127.0.0.1   9080   ALL (default)                Route: 9080',
      '',
    ]
      .map((line) => line.trimEnd())
      .join('\n'),
  );
  expect(routeTable(routesOf(dump))).toBe(
    [
      'NAME   VHOST NAME   DOMAINS                                MATCH           VIRTUAL SERVICE',
      '9080   reviews      reviews, reviews.default + 1 more...   /* [end-user]   reviews.default',
      '9080   reviews      reviews, reviews.default + 1 more...   /exact',
      '9080   reviews      reviews, reviews.default + 1 more...   regex /a.*',
      '',
    ].join('\n'),
  );
  expect(bootstrapOf(dump)).toEqual({ node: { id: 'n' } });
});

test('filters', () => {
  const names = (filter: Parameters<typeof filterClusters>[1]) =>
    filterClusters(clustersOf(dump), filter).map(({ name }) => name);
  expect(names({ direction: 'inbound' })).toEqual(['inbound|9080||']);
  expect(names({ fqdn: 'reviews', port: 9080, subset: 'v1' })).toHaveLength(1);
  expect(names({ port: 1 })).toEqual([]);
  expect(filterListeners(listenersOf(dump), { type: 'http+tcp' })).toHaveLength(1);
  expect(filterListeners(listenersOf(dump), { port: 80 })).toHaveLength(1);
});

test('endpoints with their health', () => {
  const statuses = {
    cluster_statuses: [
      {
        name: 'c',
        host_statuses: [
          { address: socket(1), health_status: { eds_health_status: 'HEALTHY' } },
          { address: socket(2), health_status: { eds_health_status: 'HEALTHY', failed_outlier_check: true } },
          { address: socket(3), health_status: { failed_active_health_check: true } },
        ],
      },
    ],
  };
  const table = endpointTable(endpointRows(statuses, {}));
  expect(table).toContain('127.0.0.1:2   HEALTHY     FAILED          c');
  expect(table).toContain('127.0.0.1:3   UNHEALTHY   OK');
  expect(endpointRows(statuses, { status: 'unhealthy' })).toHaveLength(1);
  expect(endpointRows(statuses, { cluster: 'other' })).toEqual([]);
});

test('secrets show certificates and never keys', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-secret-'));
  try {
    const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        '/CN=a',
        '-days',
        '2',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    );
    const inline_bytes = readFileSync(certificate).toString('base64');
    const secrets = secretsOf({
      configs: [
        {
          '@type': 'type.googleapis.com/envoy.admin.v3.SecretsConfigDump',
          dynamic_active_secrets: [
            { name: 'default', secret: { tls_certificate: { certificate_chain: { inline_bytes } } } },
          ],
          dynamic_warming_secrets: [
            { name: 'ROOTCA', secret: { validation_context: { trusted_ca: { inline_bytes: 'AA==' } } } },
          ],
        },
      ],
    });
    const table = secretTable(secrets);
    expect(table).toMatch(
      /^RESOURCE NAME\s+TYPE\s+STATUS\s+VALID CERT\s+SERIAL NUMBER\s+NOT AFTER\s+NOT BEFORE\n/,
    );
    expect(table).toMatch(/default\s+Cert Chain\s+ACTIVE\s+true\s+[0-9a-f]+\s+\d{4}-/);
    expect(table).toMatch(/ROOTCA\s+CA\s+WARMING\s+false/);
    expect(secretTable(secrets, Date.now() + 3 * 86_400_000)).toMatch(
      /default\s+Cert Chain\s+ACTIVE\s+false/,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('where a resource comes from, as we and as Istio say it', () => {
  expect(originOf(origin('VirtualService/ns/name#spec.http[0]'), 'VirtualService')).toBe('name.ns');
  expect(originOf(origin('Service/ns/name'), 'VirtualService')).toBe('');
  const istio = {
    filter_metadata: { istio: { config: '/apis/networking.istio.io/v1/namespaces/ns/virtual-service/name' } },
  };
  expect(originOf(istio, 'VirtualService')).toBe('name.ns');
  expect(originOf(undefined, 'VirtualService')).toBe('');
});

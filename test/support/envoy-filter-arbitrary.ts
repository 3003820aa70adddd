import { fc } from './properties.ts';

/** A random EnvoyFilter's patches touch one service and port only; values are sound or such that Envoy refuses them. */
export interface FilterScope {
  /** The service's host and port. */
  readonly host: string;
  readonly port: number;
  /** A free port for listeners that are added. */
  readonly freePort: number;
}

const manager = 'envoy.filters.network.http_connection_manager';
const type = (name: string) => `type.googleapis.com/${name}`;
const http = (name: string, config: object, filter = `envoy.filters.http.${name.split('.')[0]}`) => ({
  name: filter,
  typed_config: { '@type': type(`envoy.extensions.filters.http.${name}`), ...config },
});

const soundHttpFilters = [
  http('lua.v3.Lua', { default_source_code: { inline_string: 'function envoy_on_request(h) end' } }),
  http('buffer.v3.Buffer', { max_request_bytes: 65_536 }),
  http('csrf.v3.CsrfPolicy', { filter_enabled: { default_value: { numerator: 0 } } }),
  http('local_ratelimit.v3.LocalRateLimit', { stat_prefix: 'x' }),
  http('header_mutation.v3.HeaderMutation', {}),
];

/** Each passes our own check and is refused by Envoy: bad scripts, broken constraints, clusters and extensions that do not exist. */
const brokenHttpFilters = [
  http('lua.v3.Lua', { default_source_code: { inline_string: 'no Lua' } }),
  http('local_ratelimit.v3.LocalRateLimit', {}),
  http('buffer.v3.Buffer', {}),
  http('no_such.v3.Filter', { a: 1 }),
  http('ext_authz.v3.ExtAuthz', { http_service: { server_uri: { uri: 'x', cluster: '', timeout: '1s' } } }),
  { name: 'nothing' },
];

const orders = ['INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST', 'ADD', 'REPLACE', 'MERGE'] as const;
const anchors = [
  'envoy.filters.http.router',
  'envoy.router',
  'istio.stats',
  'envoy.filters.http.fault',
  'none',
];

function httpFilterPatch({ port }: FilterScope): fc.Arbitrary<object> {
  return fc
    .record({
      operation: fc.constantFrom(...orders),
      anchor: fc.constantFrom(...anchors),
      value: fc.constantFrom(...soundHttpFilters, ...brokenHttpFilters),
    })
    .map(({ operation, anchor, value }) => ({
      applyTo: 'HTTP_FILTER',
      match: {
        context: 'SIDECAR_OUTBOUND',
        listener: {
          portNumber: port,
          filterChain: { filter: { name: manager, subFilter: { name: anchor } } },
        },
      },
      patch: { operation, value },
    }));
}

function networkFilterPatch({ port }: FilterScope): fc.Arbitrary<object> {
  const limit = 'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit';
  const filters = [
    {
      name: 'envoy.filters.network.connection_limit',
      typed_config: { '@type': type(limit), stat_prefix: 'x', max_connections: 1_000 },
    },
    { name: 'envoy.filters.network.connection_limit', typed_config: { '@type': type(limit) } },
    { name: 'x', typed_config: { '@type': type('example.Unknown'), a: { b: [1] } } },
  ];
  return fc
    .record({
      operation: fc.constantFrom('INSERT_BEFORE', 'INSERT_FIRST', 'ADD', 'MERGE', 'REMOVE'),
      named: fc.boolean(),
      value: fc.constantFrom(...filters),
    })
    .map(({ operation, named, value }) => ({
      applyTo: 'NETWORK_FILTER',
      match: {
        context: 'SIDECAR_OUTBOUND',
        listener: { portNumber: port, ...(named ? { filterChain: { filter: { name: manager } } } : {}) },
      },
      patch: operation === 'REMOVE' ? { operation } : { operation, value },
    }));
}

function listenerPatch({ port, freePort }: FilterScope): fc.Arbitrary<object> {
  const chain = {
    filters: [
      {
        name: 'envoy.filters.network.tcp_proxy',
        typed_config: {
          '@type': type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
          stat_prefix: 'x',
          cluster: 'x',
        },
      },
    ],
  };
  const address = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });
  const match = { context: 'SIDECAR_OUTBOUND', listener: { portNumber: port } };
  return fc.constantFrom<object>(
    {
      applyTo: 'LISTENER',
      match,
      patch: { operation: 'MERGE', value: { per_connection_buffer_limit_bytes: 9_000 } },
    },
    {
      applyTo: 'LISTENER',
      match,
      patch: { operation: 'MERGE', value: { transparent: true, freebind: true } },
    },
    { applyTo: 'LISTENER', match, patch: { operation: 'REMOVE' } },
    { applyTo: 'FILTER_CHAIN', match, patch: { operation: 'ADD', value: chain } },
    { applyTo: 'FILTER_CHAIN', match, patch: { operation: 'REMOVE' } },
    {
      applyTo: 'LISTENER_FILTER',
      match,
      patch: {
        operation: 'INSERT_FIRST',
        value: { name: 'x', typed_config: { '@type': type('example.Nothing') } },
      },
    },
    {
      applyTo: 'LISTENER',
      patch: {
        operation: 'ADD',
        value: { name: 'added', address: address(freePort), filter_chains: [chain] },
      },
    },
    {
      applyTo: 'LISTENER',
      patch: { operation: 'ADD', value: { name: 'empty', address: address(freePort) } },
    },
  );
}

function clusterPatch({ host }: FilterScope): fc.Arbitrary<object> {
  const match = { context: 'SIDECAR_OUTBOUND', cluster: { service: host } };
  const merge = (value: object) => ({ applyTo: 'CLUSTER', match, patch: { operation: 'MERGE', value } });
  return fc.constantFrom<object>(
    merge({ connect_timeout: '3s' }),
    merge({ connect_timeout: '-3s' }),
    merge({ upstream_connection_options: { tcp_keepalive: { keepalive_time: 10 } } }),
    merge({ transport_socket: { name: 'x', typed_config: { '@type': type('example.Nothing') } } }),
    merge({ typed_extension_protocol_options: { x: { '@type': type('example.Nothing') } } }),
    merge({ lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 9, maximum_ring_size: 3 } }),
    { applyTo: 'CLUSTER', match, patch: { operation: 'REMOVE' } },
    { applyTo: 'CLUSTER', patch: { operation: 'ADD', value: { name: 'added', type: 'STATIC' } } },
    { applyTo: 'CLUSTER', patch: { operation: 'ADD', value: { name: 'bad', type: 'EDS' } } },
  );
}

function routePatch({ port, host }: FilterScope): fc.Arbitrary<object> {
  const values: object[] = [
    { response_headers_to_add: [{ header: { key: 'x-a', value: '1' } }] },
    { match: { prefix: '/' }, direct_response: { status: 204 } },
    { match: { safe_regex: { regex: '([' } }, direct_response: { status: 204 } },
    { match: { prefix: '/' } },
    { match: { prefix: '/' }, route: { cluster: 'nowhere' } },
  ];
  const match = (route: object | undefined) => ({
    context: 'SIDECAR_OUTBOUND',
    routeConfiguration: { portNumber: port, vhost: { name: `${host}:${port}`, ...(route ? { route } : {}) } },
  });
  return fc
    .record({
      applyTo: fc.constantFrom('HTTP_ROUTE', 'VIRTUAL_HOST'),
      operation: fc.constantFrom('MERGE', 'ADD', 'INSERT_FIRST', 'REMOVE', 'MERGE_AND_REPLACE_LIST'),
      route: fc.constantFrom(undefined, { action: 'ANY' }, { action: 'REDIRECT' }),
      value: fc.constantFrom(...values),
    })
    .map(({ applyTo, operation, route, value }) => ({
      applyTo,
      match: match(route),
      patch:
        operation === 'REMOVE'
          ? { operation }
          : {
              operation,
              value: applyTo === 'HTTP_ROUTE' ? value : { routes: [value], domains: [`x.${host}`] },
            },
    }));
}

/** The spec of an EnvoyFilter that the admission takes. */
export function envoyFilterSpec(scope: FilterScope): fc.Arbitrary<object> {
  const patch = fc.oneof(
    { arbitrary: httpFilterPatch(scope), weight: 4 },
    { arbitrary: networkFilterPatch(scope), weight: 2 },
    { arbitrary: listenerPatch(scope), weight: 2 },
    { arbitrary: clusterPatch(scope), weight: 3 },
    { arbitrary: routePatch(scope), weight: 3 },
  );
  return fc.record({
    priority: fc.integer({ min: -2, max: 2 }),
    configPatches: fc.array(patch, { minLength: 1, maxLength: 3 }),
  });
}

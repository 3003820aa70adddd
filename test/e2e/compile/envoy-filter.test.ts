import { createServer, type Server } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseYamlDocuments } from '../../../src/config/yaml-documents.ts';
import { FilterQuarantine } from '../../../src/control-plane/filter-quarantine.ts';
import { backendYaml } from '../../support/backend-yaml.ts';
import { type CompiledMesh, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { type Answer, call } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { startRateLimitService } from '../../support/rate-limit-service.ts';
import { waitFor } from '../../support/wait-for.ts';

const fqdn = 'shop.default.svc.cluster.local';
const manager = 'envoy.filters.network.http_connection_manager';
const router = `{filterChain: {filter: {name: ${manager}, subFilter: {name: envoy.filters.http.router}}}}`;
const extension = 'type.googleapis.com/envoy.extensions.filters.http';

let mesh: CompiledMesh;
let client: TestEnvoy;
let app: Server;
let guard: Server;
let ports: number[];
let quarantine: FilterQuarantine;
const applied = new Set<string>();

/** The application: says what it got, names as they came. */
function startApp(port: number): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 0 }, ({ rawHeaders, url, headers }, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url, headers, rawHeaders, padding: 'x'.repeat(2_000) }));
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

beforeAll(async () => {
  ports = await freePorts(6);
  const [outbound, listen, appPort, limiter, guardPort] = ports as [number, number, number, number, number];
  app = await startApp(appPort);
  guard = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    response.statusCode = request.headers['x-pass'] === 'yes' ? 200 : 403;
    response.end();
  });
  await new Promise<void>((resolve) => guard.listen(guardPort, '127.0.0.1', resolve));
  mesh = await startCompiledMesh(`
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: shop}, ports: [{name: http, port: 8000}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-v1, labels: {app: shop, security.istio.io/tlsMode: istio}}
spec:
  address: 127.0.0.1
  ports: {http: ${listen}}
  labels: {app: shop, security.istio.io/tlsMode: istio}
---
${backendYaml('ratelimit', { clusterIP: '10.1.0.2', port: 8081, on: limiter, portName: 'grpc' })}`);
  quarantine = new FilterQuarantine({
    apply: (changes) => mesh.change(changes),
    compile: mesh.engine,
    settled: () => Promise.resolve(),
    log: { info: () => undefined },
  });
  quarantine.follow(mesh.ledger);
  client = await mesh.envoy({
    metadata: { OSTRIA_CAPTURE: { outbound: { [`${fqdn}:8000`]: outbound }, inbound: [], httpProxy: 0 } },
  });
  await mesh.envoy({
    name: 'shop-v1',
    labels: { app: 'shop' },
    metadata: {
      OSTRIA_CAPTURE: { outbound: {}, inbound: [{ servicePort: 8000, listen, app: appPort }], httpProxy: 0 },
    },
  });
  await waitFor('the mesh serves', async () => (await get('/')).status === 200);
});

afterEach(() => remove([...applied]));

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  guard?.close();
});

function get(path: string, headers: Record<string, string> = {}, options = {}): Promise<Answer> {
  return call(ports[0] as number, path, headers, options);
}

function applyFilters(yaml: string): void {
  const changes = parseYamlDocuments(yaml, 'filters.yaml').objects.map(({ object }) => ({
    group: 'networking.istio.io',
    kind: object.kind,
    key: `${object.metadata.namespace ?? 'default'}/${object.metadata.name}`,
    object,
  }));
  for (const { kind, key } of changes) applied.add(`${kind}/${key}`);
  mesh.apply(yaml);
  quarantine.observe(changes);
}

function remove(ids: readonly string[]): void {
  mesh.apply('', ids);
  quarantine.observe(
    ids.map((id) => ({ group: '', kind: 'EnvoyFilter', key: id.slice(id.indexOf('/') + 1) })),
  );
  applied.clear();
}

function filter(name: string, patches: string, app = 'shop'): string {
  const selector = app === '' ? '' : `\n  workloadSelector: {labels: {app: ${app}}}`;
  return `---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: ${name}}
spec:${selector}
  configPatches:
${patches}`;
}

const insert = (name: string, type: string, config: string) => `
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: ${router}}
    patch:
      operation: INSERT_BEFORE
      value: {name: ${name}, typed_config: {'@type': ${extension}.${type}, ${config}}}`;

const lua = (name: string, script: string) =>
  filter(
    name,
    insert('envoy.filters.http.lua', 'lua.v3.Lua', `default_source_code: {inline_string: '${script}'}`),
  );

const setsHeader = (name: string) =>
  `function envoy_on_response(handle) handle:headers():add("${name}", "1") end`;

async function answersWith(header: string): Promise<boolean> {
  return (await get('/')).headers[header] !== undefined;
}

test('a script adds a header, and is gone with its filter', async () => {
  applyFilters(lua('script', setsHeader('x-script')));
  await waitFor('the header', () => answersWith('x-script'));
  remove(['EnvoyFilter/default/script']);
  await waitFor('no header', async () => !(await answersWith('x-script')));
});

test('buffer limit, compression and preserved header case, together', async () => {
  const preserve = `header_key_format: {stateful_formatter: {name: preserve_case, typed_config: {'@type': type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig}}}`;
  applyFilters(
    filter('buffer', insert('envoy.filters.http.buffer', 'buffer.v3.Buffer', 'max_request_bytes: 1024')) +
      `\n${filter(
        'gzip',
        insert(
          'envoy.filters.http.compressor',
          'compressor.v3.Compressor',
          `response_direction_config: {common_config: {min_content_length: 100, content_type: [application/json]}},
           compressor_library: {name: gzip, typed_config: {'@type': type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip}}`,
        ),
      )}\n${filter(
        'case',
        `
  - applyTo: NETWORK_FILTER
    match: {listener: {portNumber: 8000, filterChain: {filter: {name: ${manager}}}}}
    patch:
      operation: MERGE
      value: {typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, http_protocol_options: {${preserve}}}}
  - applyTo: CLUSTER
    match: {cluster: {service: ${fqdn}}}
    patch:
      operation: MERGE
      value:
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            explicit_http_config: {http_protocol_options: {${preserve}}}`,
        '',
      )}`,
  );
  await waitFor(
    'gzip',
    async () => (await get('/', { 'accept-encoding': 'gzip' })).headers['content-encoding'] === 'gzip',
  );
  const post = (bytes: number) =>
    fetch(`http://127.0.0.1:${ports[0]}/`, { method: 'POST', body: 'x'.repeat(bytes) });
  await waitFor('413', async () => (await post(4_096)).status === 413);
  expect((await post(512)).status).toBe(200);
  const seen = JSON.parse((await get('/', { 'X-SoAP-Action': 'a' })).body) as { rawHeaders: string[] };
  expect(seen.rawHeaders).toContain('X-SoAP-Action');
  expect(mesh.refusals).toEqual([]);
});

test('local rate limit by route: the documented shape, as a TypedStruct', async () => {
  applyFilters(
    filter(
      'local-limit',
      `
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: ${manager}}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: ${extension}.local_ratelimit.v3.LocalRateLimit
          value: {stat_prefix: http_local_rate_limiter}
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_INBOUND, routeConfiguration: {vhost: {name: 'inbound|http|8000', route: {action: ANY}}}}
    patch:
      operation: MERGE
      value:
        route:
          rate_limits:
          - actions: [{header_value_match: {descriptor_value: slow, headers: [{name: ':path', string_match: {prefix: /slow}}]}}]
        typed_per_filter_config:
          envoy.filters.http.local_ratelimit:
            '@type': ${extension}.local_ratelimit.v3.LocalRateLimit
            stat_prefix: route
            token_bucket: {max_tokens: 1000, tokens_per_fill: 1000, fill_interval: 3600s}
            filter_enabled: {default_value: {numerator: 100}}
            filter_enforced: {default_value: {numerator: 100}}
            response_headers_to_add: [{header: {key: x-limited, value: 'yes'}}]
            descriptors:
            - entries: [{key: header_match, value: slow}]
              token_bucket: {max_tokens: 3, tokens_per_fill: 3, fill_interval: 3600s}`,
    ),
  );
  const statuses: number[] = [];
  await waitFor('a refusal', async () => {
    const answer = await get('/slow');
    statuses.push(answer.status);
    return answer.headers['x-limited'] === 'yes';
  });
  for (let i = 0; i < 4; i++) statuses.push((await get('/slow')).status);
  // Requests before the filter arrived were not counted; from the first refusal on, all are refused.
  expect(statuses.slice(statuses.indexOf(429))).toEqual([429, 429, 429, 429, 429]);
  expect((await get('/fast')).status).toBe(200);
});

test('global rate limit: a real service is asked, and decides', async () => {
  const service = await startRateLimitService(ports[3] as number, {
    'shop PATH=/limited': 2,
  });
  try {
    applyFilters(
      filter(
        'global-limit',
        `${insert(
          'envoy.filters.http.ratelimit',
          'ratelimit.v3.RateLimit',
          `domain: shop, failure_mode_deny: true, timeout: 5s, rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: 'outbound|8081||ratelimit.default.svc.cluster.local', authority: ratelimit.default.svc.cluster.local}}}`,
        )}
  - applyTo: VIRTUAL_HOST
    match: {context: SIDECAR_INBOUND, routeConfiguration: {vhost: {name: ''}}}
    patch:
      operation: MERGE
      value: {rate_limits: [{actions: [{request_headers: {header_name: ':path', descriptor_key: PATH}}]}]}`,
      ),
    );
    await waitFor('the service is asked', async () => {
      await get('/free');
      return service.asked.has('shop PATH=/free');
    });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await get('/limited')).status);
    expect(statuses).toEqual([200, 200, 429, 429, 429]);
    expect(service.asked.get('shop PATH=/limited')).toBe(5);
    expect((await get('/free')).status).toBe(200);
  } finally {
    service.stop();
  }
});

test('external authorization by a cluster that the filter brings', async () => {
  applyFilters(
    filter(
      'guard',
      `${insert(
        'envoy.filters.http.ext_authz',
        'ext_authz.v3.ExtAuthz',
        `http_service: {server_uri: {uri: 'http://guard', cluster: guard, timeout: 5s}, authorization_request: {allowed_headers: {patterns: [{exact: x-pass}]}}}`,
      )}
  - applyTo: CLUSTER
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: ADD
      value:
        name: guard
        type: STATIC
        connect_timeout: 5s
        load_assignment: {cluster_name: guard, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${ports[4]}}}}}]}]}`,
    ),
  );
  await waitFor('a refusal', async () => (await get('/')).status === 403);
  expect((await get('/', { 'x-pass': 'yes' })).status).toBe(200);
});

test('a patch that Envoy refuses is left out; what others patched stays, and traffic goes on', async () => {
  applyFilters(lua('good', setsHeader('x-good')));
  await waitFor('the good one', () => answersWith('x-good'));
  applyFilters(lua('bad', 'this is not Lua'));
  applyFilters(lua('late', setsHeader('x-late')));
  await waitFor('the late one', () => answersWith('x-late'));
  expect(await answersWith('x-good')).toBe(true);
  expect(mesh.refusals.some((refusal) => refusal.includes('script load error'))).toBe(true);
  // Mended: it comes back.
  applyFilters(lua('bad', setsHeader('x-mended')));
  await waitFor('the mended one', () => answersWith('x-mended'));
});

test('refused clusters and virtual hosts are made without the patch', async () => {
  const seen = mesh.refusals.length;
  applyFilters(
    filter(
      'breaks-cluster',
      `
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND, cluster: {service: ${fqdn}}}
    patch: {operation: MERGE, value: {typed_extension_protocol_options: {no.such.extension: {'@type': type.googleapis.com/example.Unknown, a: b}}}}`,
      '',
    ),
  );
  await waitFor('a refusal', () => mesh.refusals.length > seen);
  // A change that everybody must take shows that nothing is stuck.
  applyFilters(
    filter(
      'after',
      `
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {portNumber: 8000}}
    patch: {operation: MERGE, value: {response_headers_to_add: [{header: {key: x-after, value: 'yes'}}]}}`,
      '',
    ),
  );
  await waitFor('the next change', () => answersWith('x-after'));
  applyFilters(
    filter(
      'breaks-route',
      `
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {portNumber: 8000}}
    patch: {operation: INSERT_FIRST, value: {match: {safe_regex: {regex: '(['}}, direct_response: {status: 500}}}`,
      '',
    ),
  );
  await waitFor('all answered', async () => {
    const held = mesh.ledger.snapshot().flatMap(({ types }) => types);
    return mesh.refusals.length > seen + 1 && held.every(({ rejected }) => rejected.length === 0);
  });
  expect((await get('/')).status).toBe(200);
  expect(await client.admin('/ready')).toMatchObject({ status: 200 });
});

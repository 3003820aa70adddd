import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { opensslCertificate } from '../../support/authority.ts';
import { backendYaml } from '../../support/backend-yaml.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import { startEnvoy, type TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let client: TestEnvoy;
let app: Server;
let directory: string;
let https: number;
let viaQuic: number;
let authority: string;
let root: ReturnType<typeof opensslCertificate>;

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Stock Envoy is a QUIC client too: it takes HTTP/1.1 here and speaks HTTP/3 to the gateway. */
function quicClient(
  listen: number,
  target: number,
  certificate: string,
  own?: { certificate: string; key: string },
): Record<string, unknown> {
  const any = (name: string, fields: object) => ({ '@type': `type.googleapis.com/envoy.${name}`, ...fields });
  const at = (port: number, protocol: string) => ({
    socket_address: { address: '127.0.0.1', port_value: port, protocol },
  });
  const route = { match: { prefix: '/' }, route: { cluster: 'gateway' } };
  const manager = any('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'client',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
    http_filters: [{ name: 'router', typed_config: any('extensions.filters.http.router.v3.Router', {}) }],
  });
  return {
    static_resources: {
      listeners: [
        {
          address: at(listen, 'TCP'),
          filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: 'gateway',
          load_assignment: {
            cluster_name: 'gateway',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: at(target, 'UDP') } }] }],
          },
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
              'extensions.upstreams.http.v3.HttpProtocolOptions',
              { explicit_http_config: { http3_protocol_options: {} } },
            ),
          },
          transport_socket: {
            name: 'envoy.transport_sockets.quic',
            typed_config: any('extensions.transport_sockets.quic.v3.QuicUpstreamTransport', {
              upstream_tls_context: {
                sni: 'shop.example.com',
                common_tls_context: {
                  ...(own
                    ? {
                        tls_certificates: [
                          {
                            certificate_chain: { inline_string: own.certificate },
                            private_key: { inline_string: own.key },
                          },
                        ],
                      }
                    : {}),
                  validation_context: {
                    trusted_ca: { inline_string: certificate },
                    match_typed_subject_alt_names: [
                      { san_type: 'DNS', matcher: { exact: 'shop.example.com' } },
                    ],
                  },
                },
              },
            }),
          },
        },
      ],
    },
  };
}

const front = (http3: boolean, mode = 'SIMPLE', names = '') => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, annotations: {networking.ostria.io/http3: "${http3}"}}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['shop.example.com']
    tls: {mode: ${mode}, credentialName: shop${names}}
`;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-http3-'));
  root = opensslCertificate({ directory, name: 'root' });
  authority = root.certificate;
  const pair = opensslCertificate({
    ...{ directory, name: 'shop', issuer: root, ca: false, names: ['shop.example.com'] },
  });
  const [one, two, backend] = (await freePorts(3)) as [number, number, number];
  [https, viaQuic] = [one, two];
  app = await startEcho('app', backend);
  mesh = await startCompiledMesh(`
${backendYaml('shop', { clusterIP: '10.1.0.1', port: 9080, on: backend })}---
apiVersion: v1
kind: Secret
metadata: {name: shop}
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}, ca.crt: ${base64(authority)}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ['shop.example.com']
  gateways: [front]
  http: [{route: [{destination: {host: shop, port: {number: 9080}}}]}]
---${front(true)}`);
  gateway = await mesh.envoy({
    ...{ type: 'router', name: 'ingress', labels: { istio: 'ingressgateway' } },
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], gateway: { 443: https }, httpProxy: 0 } },
  });
  client = await startEnvoy({ bootstrap: quicClient(viaQuic, https, authority) });
});

afterAll(async () => {
  await client?.stop();
  await mesh?.stop();
  app?.close();
  rmSync(directory, { recursive: true, force: true });
});

const overTcp = () =>
  call(
    https,
    '/x',
    { host: 'shop.example.com' },
    { tls: true, servername: 'shop.example.com', ca: authority },
  );

test('answers over TCP say where HTTP/3 is spoken, and it is spoken there', async () => {
  expect((await overTcp()).headers['alt-svc']).toBe(`h3=":${https}"; ma=86400`);
  const seen = parseEcho(await call(viaQuic, '/quic', { host: 'shop.example.com' }));
  expect(seen).toMatchObject({ path: '/quic', host: 'shop.example.com' });
  expect(await client.stat('cluster.gateway.upstream_cx_http3_total')).toBe(1);
  expect(await gateway.stat(`http.outbound_127.0.0.1_${https}.downstream_rq_http3_total`)).toBeGreaterThan(0);
});

test('in mode MUTUAL whoever comes by QUIC proves who he is as well', async () => {
  const issuer = opensslCertificate({ directory, name: 'clients' });
  const own = opensslCertificate({
    ...{ directory, name: 'caller', issuer: root, ca: false, names: ['caller.example.com'] },
  });
  const stranger = opensslCertificate({ directory, name: 'stranger', issuer, ca: false });
  const statusOf = async (pair?: typeof own) => {
    const [port = 0] = await freePorts(1);
    const caller = await startEnvoy({ bootstrap: quicClient(port, https, authority, pair) });
    try {
      return (await call(port, '/mutual', { host: 'shop.example.com' })).status;
    } finally {
      await caller.stop();
    }
  };
  const poll = { timeout: 20_000, interval: 300 };
  mesh.apply(front(true, 'MUTUAL').slice(1));
  await expect.poll(() => statusOf(), poll).toBe(503);
  expect(await statusOf(stranger)).toBe(503);
  expect(await statusOf(own)).toBe(200);
  mesh.apply(front(true, 'MUTUAL', ', subjectAltNames: [other.example.com]').slice(1));
  await expect.poll(() => statusOf(own), poll).toBe(503);
  mesh.apply(front(true, 'OPTIONAL_MUTUAL').slice(1));
  await expect.poll(() => statusOf(), poll).toBe(200);
  expect(await statusOf(own)).toBe(200);
  expect(await statusOf(stranger)).toBe(503);
});

test('nobody who did not ask has it', async () => {
  mesh.apply(front(false).slice(1));
  await expect.poll(() => gateway.stat('listener_manager.total_listeners_active')).toBe(1);
  await expect.poll(async () => (await overTcp()).headers['alt-svc']).toBeUndefined();
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(gateway)).toBe(0);
});

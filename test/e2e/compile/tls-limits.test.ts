// MeshConfig meshMTLS and tlsDefaults: what real Envoys accept and offer; and under which names they count.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultMeshConfig, overlayMeshConfig } from '../../../src/registry/mesh-config.ts';
import { opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let envoys: TestEnvoy[];
let app: Server | undefined;
let secured: ReturnType<typeof createHttps> | undefined;
let modern: ReturnType<typeof createHttps> | undefined;
let directory: string;
let ports: { listen: number; outbound: number; https: number; secured: number; modern: number };

const reviews = 'reviews.default.svc.cluster.local';
const base64 = (text: string) => Buffer.from(text).toString('base64');

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-tls-'));
  const pair = opensslCertificate({ directory, name: 'pair', ca: false, names: ['shop.example.com'] });
  // It speaks TLS 1.2 over a curve that Envoy does not offer by itself, and would take a smaller cipher.
  secured = createHttps(
    {
      cert: pair.certificate,
      key: pair.key,
      maxVersion: 'TLSv1.2',
      ecdhCurve: 'P-384',
      honorCipherOrder: true,
    },
    (request, response) => response.end((request.socket as TLSSocket).getCipher().name),
  );
  modern = createHttps(
    { cert: pair.certificate, key: pair.key, minVersion: 'TLSv1.3' },
    (request, response) => response.end((request.socket as TLSSocket).getProtocol()),
  );
  const targets = [secured, modern];
  await Promise.all(
    targets.map((target) => new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))),
  );
  const targetPorts = targets.map((target) => (target.address() as AddressInfo).port);
  const [listen, outbound, https, toSecured, toModern, application] = (await freePorts(6)) as [
    ...[number, number, number, number, number, number],
  ];
  ports = { listen, outbound, https, secured: toSecured, modern: toModern };
  app = await startEcho('v1', application);
  mesh = await startCompiledMesh(
    `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1}
spec: {address: 127.0.0.1, ports: {http: ${listen}}, labels: {app: reviews, security.istio.io/tlsMode: istio}, serviceAccount: reviews}
---
${['secured', 'modern']
  .map(
    (name, index) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${targetPorts[index]}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: {host: ${name}.example.com, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}
---
`,
  )
  .join('')}apiVersion: v1
kind: Secret
metadata: {name: shop}
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {app: front}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: shop}}
`,
    overlayMeshConfig(
      { ...defaultMeshConfig, defaultMtlsMode: 'STRICT' },
      {
        outboundClusterStatName: '%SERVICE%_%SERVICE_PORT_NAME%_%SERVICE_PORT%',
        inboundClusterStatName: 'in_%SERVICE_FQDN%_%SUBSET_NAME%%TARGET_PORT%',
        meshMTLS: { minProtocolVersion: 'TLSV1_3' },
        tlsDefaults: {
          ecdhCurves: ['P-384', 'P-256', 'P-521', 'X25519MLKEM768', 'no-curve'],
          cipherSuites: ['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'NO-SUITE'],
        },
      },
    ),
  );
  const none = { outbound: {}, inbound: [], httpProxy: 0 };
  envoys = [
    await mesh.envoy(
      {
        name: 'reviews-v1',
        labels: { app: 'reviews' },
        metadata: {
          OSTRIA_CAPTURE: {
            ...none,
            inbound: [{ servicePort: 9080, listen, app: application, protocol: 'http' }],
          },
        },
      },
      { serviceAccount: 'reviews' },
    ),
    await mesh.envoy({
      name: 'web',
      metadata: {
        OSTRIA_CAPTURE: {
          ...none,
          outbound: {
            [`${reviews}:9080`]: outbound,
            'secured.example.com:80': toSecured,
            'modern.example.com:80': toModern,
          },
        },
      },
    }),
    await mesh.envoy({
      type: 'router',
      name: 'front-0',
      labels: { app: 'front' },
      metadata: { OSTRIA_CAPTURE: { ...none, gateway: { 443: https } } },
    }),
  ];
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  secured?.close();
  modern?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The version and cipher that were agreed on, or the code of the alert. */
function agreed(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(
      { host: '127.0.0.1', port, rejectUnauthorized: false, servername: 'shop.example.com', ...options },
      () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
        socket.destroy();
      },
    );
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

test('workloads refuse older versions than meshMTLS names, and speak the new one with each other', async () => {
  const mtls = { ALPNProtocols: ['istio'] };
  expect(await agreed(ports.listen, { ...mtls, maxVersion: 'TLSv1.2' })).toContain('PROTOCOL_VERSION');
  expect(await agreed(ports.listen, mtls)).toContain('TLSv1.3');
  expect(parseEcho(await call(ports.outbound, '/', { host: 'reviews' })).version).toBe('v1');
});

test('clusters are counted under the names that the mesh gives them', async () => {
  const [server, client] = envoys as [TestEnvoy, TestEnvoy];
  await call(ports.outbound, '/', { host: 'reviews' });
  expect(await client.stat('cluster.reviews.default_http_9080.upstream_rq_total')).toBeGreaterThan(0);
  const inbound = await server.admin('/stats?filter=^cluster.in_reviews.default.svc.cluster.local_');
  expect(inbound.body).toContain('upstream_rq_total');
});

test('gateways have the curves and suites of tlsDefaults', async () => {
  expect(await agreed(ports.https, { ecdhCurve: 'X25519' })).toContain('HANDSHAKE_FAILURE');
  expect(await agreed(ports.https, { ecdhCurve: 'P-384' })).toContain('TLSv1.3');
  const old: ConnectionOptions = { maxVersion: 'TLSv1.2', ecdhCurve: 'P-384:P-256' };
  expect(await agreed(ports.https, old)).toMatch(/^TLSv1\.2 ECDHE-\w+-AES256-GCM-SHA384$/);
});

test('connections to destinations likewise; nothing was refused', async () => {
  expect((await call(ports.secured, '/', { host: 'secured.example.com' })).body).toMatch(
    /AES256-GCM-SHA384$/,
  );
  expect((await call(ports.modern, '/', { host: 'modern.example.com' })).body).toBe('TLSv1.3');
  expect(mesh.refusals).toEqual([]);
  for (const envoy of envoys) expect(await rejectedUpdates(envoy)).toBe(0);
});

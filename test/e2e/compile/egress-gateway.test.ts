import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let client: TestEnvoy;
let stranger: TestEnvoy;
let egress: TestEnvoy;
let outside: Server;
let directory: string;
let proxyPort: number;
let gatewayPort: number;
let strangerProxy: number;

/** Istio's task "Egress gateways with TLS origination", but for where the outside is and who vouches for it. */
function documented(gatewayAt: number, outsideAt: number, authority: string): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: istio-egressgateway, namespace: istio-system}
spec: {clusterIP: 10.1.0.9, selector: {istio: egressgateway}, ports: [{name: http2, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: egress, namespace: istio-system}
spec:
  address: 127.0.0.1
  ports: {http2: ${gatewayAt}}
  labels: {istio: egressgateway, security.istio.io/tlsMode: istio}
  serviceAccount: istio-egressgateway-service-account
---
apiVersion: v1
kind: Secret
metadata: {name: outside, namespace: istio-system}
data: {ca.crt: ${Buffer.from(authority).toString('base64')}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cnn}
spec:
  hosts: [edition.cnn.com]
  ports:
  - {number: 80, name: http-port, protocol: HTTP}
  - {number: 443, name: https-port, protocol: HTTPS}
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http-port: ${outsideAt}, https-port: ${outsideAt}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: istio-egressgateway}
spec:
  selector: {istio: egressgateway}
  servers:
  - port: {number: 80, name: https-port-for-tls-origination, protocol: HTTPS}
    hosts: [edition.cnn.com]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: egressgateway-for-cnn}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
  - name: cnn
    trafficPolicy:
      loadBalancer: {simple: ROUND_ROBIN}
      portLevelSettings:
      - port: {number: 80}
        tls: {mode: ISTIO_MUTUAL, sni: edition.cnn.com}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: direct-cnn-through-egress-gateway}
spec:
  hosts: [edition.cnn.com]
  gateways: [istio-egressgateway, mesh]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route:
    - destination: {host: istio-egressgateway.istio-system.svc.cluster.local, subset: cnn, port: {number: 80}}
      weight: 100
  - match: [{gateways: [istio-egressgateway], port: 80}]
    route:
    - destination: {host: edition.cnn.com, port: {number: 443}}
      weight: 100
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: originate-tls-for-edition-cnn-com}
spec:
  host: edition.cnn.com
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: SIMPLE, credentialName: outside}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: egress, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: egressgateway}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]
    to: [{operation: {hosts: [edition.cnn.com], ports: ["80"]}}]
`;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-egress-'));
  const root = opensslCertificate({ directory, name: 'root' });
  const own = opensslCertificate({
    ...{ directory, name: 'outside', issuer: root, ca: false, names: ['edition.cnn.com'] },
  });
  const ports = (await freePorts(4)) as [number, number, number, number];
  [proxyPort, gatewayPort, strangerProxy] = ports;
  outside = createServer(
    { keepAliveTimeout: 0, cert: own.certificate, key: own.key },
    (request, response) => {
      const { servername } = request.socket as TLSSocket & { servername: string };
      response.end(JSON.stringify({ servername, url: request.url, headers: request.headers }));
    },
  );
  await new Promise<void>((resolve) => outside.listen(ports[3], '127.0.0.1', resolve));
  mesh = await startCompiledMesh(documented(gatewayPort, ports[3], root.certificate));
  egress = await mesh.envoy(
    {
      ...{ type: 'router', name: 'egress', namespace: 'istio-system', labels: { istio: 'egressgateway' } },
      metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], gateway: { 80: gatewayPort }, httpProxy: 0 } },
    },
    { serviceAccount: 'istio-egressgateway-service-account' },
  );
  const sidecar = (name: string, httpProxy: number) =>
    mesh.envoy(
      { name, metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy } } },
      { serviceAccount: name },
    );
  client = await sidecar('client', proxyPort);
  stranger = await sidecar('stranger', strangerProxy);
});

afterAll(async () => {
  await mesh?.stop();
  outside?.close();
  rmSync(directory, { recursive: true, force: true });
});

const ask = (port: number) => call(port, 'http://edition.cnn.com/politics', { host: 'edition.cnn.com' });

test('a plain request leaves by the egress gateway, with mutual TLS up to it and TLS from there on', async () => {
  const answer = await ask(proxyPort);
  expect(answer.status).toBe(200);
  const seen = JSON.parse(answer.body);
  expect(seen).toMatchObject({ servername: 'edition.cnn.com', url: '/politics' });
  expect(seen.headers.host).toBe('edition.cnn.com');
  expect(seen.headers['x-forwarded-client-cert']).toContain(
    'URI=spiffe://cluster.local/ns/default/sa/client',
  );
  expect(await egress.stat(`http.outbound_127.0.0.1_${gatewayPort}.downstream_rq_2xx`)).toBeGreaterThan(0);
});

test('the gateway knows who asks: policies decide who may leave', async () => {
  expect((await ask(strangerProxy)).status).toBe(403);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  for (const envoy of [client, stranger, egress]) expect(await rejectedUpdates(envoy)).toBe(0);
});

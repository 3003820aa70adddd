import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openssl } from '../../support/authority.ts';
import { backendYaml } from '../../support/backend-yaml.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let app: Server;
let certificate: string;
let ports: number[];
let directory: string;

const base64 = (text: string) => Buffer.from(text).toString('base64');

function selfSigned(): { certificate: string; key: string } {
  const file = (name: string) => join(directory, name);
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('key.pem')]);
  writeFileSync(file('ext'), 'subjectAltName=DNS:shop.example.com\n');
  openssl(['req', '-new', '-key', file('key.pem'), '-subj', '/CN=shop.example.com', '-out', file('csr')]);
  openssl([
    ...['x509', '-req', '-in', file('csr'), '-signkey', file('key.pem'), '-days', '2'],
    ...['-extfile', file('ext'), '-out', file('cert.pem')],
  ]);
  return {
    certificate: readFileSync(file('cert.pem'), 'utf8'),
    key: readFileSync(file('key.pem'), 'utf8'),
  };
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-gateway-'));
  ports = await freePorts(4);
  const [http, https, backend] = ports as [number, number, number];
  const pair = selfSigned();
  certificate = pair.certificate;
  app = await startEcho('app', backend);
  mesh = await startCompiledMesh(`
${backendYaml('shop', { clusterIP: '10.1.0.1', port: 9080, on: backend })}---
apiVersion: v1
kind: Secret
metadata: {name: shop-cert}
type: kubernetes.io/tls
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['shop.example.com', '*.open.example.com']
  - port: {number: 80, name: http-redirect, protocol: HTTP}
    hosts: ['secure.example.com']
    tls: {httpsRedirect: true}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['shop.example.com']
    tls: {mode: SIMPLE, credentialName: shop-cert}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ['shop.example.com', 'a.open.example.com']
  gateways: [front]
  http:
  - match: [{uri: {prefix: /api/}}]
    rewrite: {uri: /}
    route: [{destination: {host: shop, port: {number: 9080}}}]
  - match: [{uri: {exact: /moved}}]
    redirect: {uri: /new}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop-rest}
spec:
  hosts: ['shop.example.com']
  gateways: [front]
  http:
  - route: [{destination: {host: shop, port: {number: 9080}}}]
`);
  gateway = await mesh.envoy({
    type: 'router',
    name: 'ingress',
    labels: { istio: 'ingressgateway' },
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: {},
        inbound: [],
        gateway: { 80: http, 443: https },
        httpProxy: 0,
      },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  rmSync(directory, { recursive: true, force: true });
});

test('routes by host and path, with routes of several virtual services for one host', async () => {
  const port = ports[0] as number;
  const answer = await call(port, '/api/x', { host: 'shop.example.com' });
  expect(parseEcho(answer)).toMatchObject({ path: '/x', host: 'shop.example.com' });
  expect(parseEcho(await call(port, '/rest', { host: 'shop.example.com' })).path).toBe('/rest');
  expect((await call(port, '/moved', { host: 'a.open.example.com' })).headers.location).toBe(
    'http://a.open.example.com/new',
  );
  expect((await call(port, '/', { host: 'unknown.example.com' })).status).toBe(404);
});

test('sends plain HTTP to HTTPS where the server asks for it', async () => {
  const answer = await call(ports[0] as number, '/x', { host: 'secure.example.com' });
  // Where HTTPS is reached: the supervisor allocated the ports.
  const location = `https://secure.example.com:${ports[1]}/x`;
  expect([answer.status, answer.headers.location]).toEqual([301, location]);
});

test('terminates TLS with the secret of its own namespace', async () => {
  const answer = await call(
    ports[1] as number,
    '/tls',
    { host: 'shop.example.com' },
    { tls: true, servername: 'shop.example.com', ca: certificate },
  );
  expect(parseEcho(answer).path).toBe('/tls');
});

test('takes up a new secret without a new listener', async () => {
  const before = await gateway.stat('listener_manager.listener_modified');
  const pair = selfSigned();
  mesh.apply(`
apiVersion: v1
kind: Secret
metadata: {name: shop-cert}
data: {tls.crt: ${base64(pair.certificate)}, tls.key: ${base64(pair.key)}}
`);
  await expect
    .poll(() =>
      call(
        ports[1] as number,
        '/tls',
        { host: 'shop.example.com' },
        { tls: true, servername: 'shop.example.com', ca: pair.certificate },
      ).then((answer) => answer.status, String),
    )
    .toBe(200);
  expect(await gateway.stat('listener_manager.listener_modified')).toBe(before);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(gateway)).toBe(0);
});

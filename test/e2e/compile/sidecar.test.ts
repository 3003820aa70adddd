import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openssl, opensslCertificate } from '../../support/authority.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let client: TestEnvoy;
let server: TestEnvoy;
let directory: string;
const servers: (Server | TcpServer)[] = [];
/** Where things listen, by what they are. */
let at: Record<
  | 'cart'
  | 'hidden'
  | 'proxy'
  | 'bound'
  | 'tcp'
  | 'cartApp'
  | 'otherApp'
  | 'dbApp'
  | 'inbound'
  | 'tls'
  | 'mutual'
  | 'app',
  number
>;

const entry = (name: string, port: number, protocol: string, backend: number, namespace = 'shop') => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.${namespace}.svc.cluster.local]
  addresses: [10.9.${namespace === 'shop' ? 0 : 1}.${name.length}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: ${port}, name: port, protocol: ${protocol}}]
  endpoints: [{address: 127.0.0.1, ports: {port: ${backend}}}]
---`;

function serverCertificate(): void {
  const file = (name: string) => join(directory, name);
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('key.pem')]);
  openssl(['req', '-new', '-key', file('key.pem'), '-subj', '/CN=app.example.com', '-out', file('csr')]);
  openssl([
    'x509',
    '-req',
    '-in',
    file('csr'),
    '-signkey',
    file('key.pem'),
    '-days',
    '2',
    '-out',
    file('cert.pem'),
  ]);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-sidecar-'));
  serverCertificate();
  const ports = await freePorts(12);
  const names = [
    'cart',
    'hidden',
    'proxy',
    'bound',
    'tcp',
    'cartApp',
    'otherApp',
    'dbApp',
    'inbound',
    'tls',
    'mutual',
    'app',
  ] as const;
  at = Object.fromEntries(names.map((name, i) => [name, ports[i]])) as typeof at;
  servers.push(await startEcho('cart', at.cartApp), await startEcho('other', at.otherApp));
  const db = createTcpServer((socket) => socket.end('database'));
  await new Promise<void>((resolve) => db.listen(at.dbApp, '127.0.0.1', resolve));
  const app = createServer({ keepAliveTimeout: 0 }, (incoming, response) =>
    response.end(`app ${incoming.url}`),
  );
  await new Promise<void>((resolve) => app.listen(join(directory, 'app.sock'), resolve));
  servers.push(db, app);
  mesh = await startCompiledMesh(
    `
${entry('cart', 80, 'HTTP', at.cartApp)}
${entry('hidden', 80, 'HTTP', at.otherApp, 'bank')}
${entry('stock', at.bound, 'HTTP', at.otherApp, 'bank')}
${entry('vault', 81, 'HTTP', at.otherApp, 'bank')}
${entry('db', at.tcp, 'MYSQL', at.dbApp, 'bank')}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
  - port: {number: ${at.bound}, name: http, protocol: HTTP}
    captureMode: NONE
    hosts: ['bank/*']
  - port: {number: ${at.tcp}, name: tcp, protocol: TCP}
    bind: 127.0.0.1
    hosts: ['bank/*']
  - port: {number: 0, name: http, protocol: HTTP}
    bind: unix://${join(directory, 'egress.sock')}
    captureMode: NONE
    hosts: ['bank/hidden.bank.svc.cluster.local']
  - hosts: ['./*']
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app, namespace: shop}
spec:
  workloadSelector: {labels: {app: app}}
  ingress:
  - port: {number: 80, name: http, protocol: HTTP}
    defaultEndpoint: unix://${join(directory, 'app.sock')}
  - port: {number: ${at.tls}, name: https, protocol: HTTPS}
    captureMode: NONE
    bind: 127.0.0.1
    defaultEndpoint: unix://${join(directory, 'app.sock')}
    tls: {mode: SIMPLE, serverCertificate: ${join(directory, 'cert.pem')}, privateKey: ${join(directory, 'key.pem')}}
  - port: {number: ${at.mutual}, name: https-mutual, protocol: HTTPS}
    captureMode: NONE
    bind: 127.0.0.1
    defaultEndpoint: unix://${join(directory, 'app.sock')}
    tls: {mode: MUTUAL, serverCertificate: ${join(directory, 'cert.pem')}, privateKey: ${join(directory, 'key.pem')}, caCertificates: ${join(directory, 'ca.pem')}}
`,
    { defaultMtlsMode: 'DISABLE' },
  );
  client = await mesh.envoy({
    name: 'web-1',
    namespace: 'shop',
    labels: { app: 'web' },
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: {
          'cart.shop.svc.cluster.local:80': at.cart,
          'hidden.bank.svc.cluster.local:80': at.hidden,
        },
        inbound: [],
        httpProxy: at.proxy,
      },
    },
  });
  server = await mesh.envoy({
    name: 'app-1',
    namespace: 'shop',
    labels: { app: 'app' },
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: {},
        inbound: [{ servicePort: 80, listen: at.inbound, app: at.app }],
        httpProxy: 0,
      },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const one of servers) one.close();
  rmSync(directory, { recursive: true, force: true });
});

function overSocket(path: string, host: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath: path, path: '/', headers: { host } }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('only what is let in has a listener and a name', async () => {
  expect(parseEcho(await call(at.cart)).version).toBe('cart');
  await expect(call(at.hidden)).rejects.toThrow();
  expect(parseEcho(await call(at.proxy, 'http://cart/', { host: 'cart' })).version).toBe('cart');
  const { body } = await client.admin('/clusters');
  expect(body).toContain('outbound|80||cart.shop.svc.cluster.local');
  expect(body).not.toContain('vault');
});

test('listeners with an address or a socket of their own serve what they let in, and nothing else', async () => {
  expect(parseEcho(await call(at.bound, '/', { host: 'stock.bank' })).version).toBe('other');
  const socket = join(directory, 'egress.sock');
  const answer = await overSocket(socket, 'hidden.bank');
  expect([answer.status, JSON.parse(answer.body).version]).toEqual([200, 'other']);
  const bytes = await new Promise<string>((resolve, reject) => {
    let got = '';
    connect(at.tcp, '127.0.0.1')
      .on('data', (chunk) => {
        got += chunk;
      })
      .on('end', () => resolve(got))
      .on('error', reject);
  });
  expect(bytes).toBe('database');
});

test('ingress goes to a socket, and ends TLS with the application’s own certificate', async () => {
  expect((await call(at.inbound, '/in')).body).toBe('app /in');
  const ca = readFileSync(join(directory, 'cert.pem'), 'utf8');
  const answer = await call(
    at.tls,
    '/tls',
    {},
    { tls: true, ca, servername: 'app.example.com', checkServerIdentity: () => undefined },
  );
  expect(answer.body).toBe('app /tls');
  await expect(call(at.tls, '/plain')).rejects.toThrow();
});

test('an authority’s file that is missing is told of the Sidecar and closes its own port, until it comes; a newer one is followed', async () => {
  const file = (name: string) => join(directory, name);
  const put = (name: string): void => {
    copyFileSync(file(name), file('ca.next'));
    renameSync(file('ca.next'), file('ca.pem'));
  };
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(file(name), 'utf8'));
  const client = { cert, key, servername: 'app.example.com', checkServerIdentity: () => undefined };
  const ask = () =>
    call(at.mutual, '/', {}, { tls: true, ca: cert, ...client }).then(({ body }) => body, String);
  await expect.poll(() => mesh.refusals).toHaveLength(1);
  expect(JSON.parse(mesh.refusals[0] ?? '')).toMatchObject({
    resources: [`file-root:${file('ca.pem')}`],
    origins: [{ kind: 'Sidecar', namespace: 'shop', name: 'app' }],
  });
  expect(await ask()).toMatch(/hang up|reset|disconnect|alert/i);
  expect((await call(at.inbound, '/in')).body).toBe('app /in');
  put('cert.pem');
  await expect.poll(ask).toBe('app /');
  await expect.poll(() => mesh.ledger.refusals(mesh.ledger.connected())).toEqual([]);
  opensslCertificate({ directory, name: 'other' });
  put('other.pem');
  await expect.poll(ask).toMatch(/alert|unknown|hang up|reset/i);
});

test('nothing else was refused', async () => {
  expect(mesh.refusals, 'what is refused again is told once').toHaveLength(1);
  expect(await rejectedUpdates(client)).toBe(0);
  expect(await rejectedUpdates(server, /^sds\.file-/)).toBe(0);
});

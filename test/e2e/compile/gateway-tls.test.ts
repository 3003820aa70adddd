import { X509Certificate } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpensslAuthority, opensslCertificate } from '../../support/authority.ts';
import { backendYaml } from '../../support/backend-yaml.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { type Answer, call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { revocationList } from '../../support/revocation-list.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let behind: TestEnvoy;
let app: Server;
let raw: TlsServer;
let directory: string;
let root: OpensslAuthority;
let clients: OpensslAuthority;
let http: number;
let https: number;
let eastWest: number;
let proxied: number;
let proxiedTls: number;

const base64 = (text: string) => Buffer.from(text).toString('base64');

function certificate(
  name: string,
  options: { days?: number; issuer?: OpensslAuthority } = {},
): OpensslAuthority {
  return opensslCertificate({
    directory,
    name: `${name}-${Math.random()}`,
    names: [name],
    issuer: options.issuer ?? root,
    ca: false,
    ...(options.days === undefined ? {} : { days: options.days }),
  });
}

function writePair(crt: string, key: string, made: OpensslAuthority): void {
  writeFileSync(join(directory, crt), made.certificate);
  writeFileSync(join(directory, key), made.key, { mode: 0o600 });
}

function secret(name: string, data: Record<string, string>): string {
  return `
---
apiVersion: v1
kind: Secret
metadata: {name: ${name}}
data: ${JSON.stringify(Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])))}
`;
}

function pair({ certificate: crt, key }: OpensslAuthority): Record<string, string> {
  return { 'tls.crt': crt, 'tls.key': key };
}

const server = (name: string, tls: string, protocol = 'HTTPS') => `
  - port: {number: 443, name: ${name}, protocol: ${protocol}}
    hosts: ['${name}.example.com']
    tls: ${tls}`;

function configuration(backend: number, tlsBackend: number, files: string): string {
  return `
${backendYaml('shop', { clusterIP: '10.1.0.1', port: 9080, on: backend })}---
${backendYaml('raw', { clusterIP: '10.1.0.2', port: 443, on: tlsBackend, portName: 'tls' })}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']${server('simple', '{mode: SIMPLE, credentialName: simple, minProtocolVersion: TLSV1_3}')}${server(
      'old',
      '{mode: SIMPLE, credentialName: simple, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384, NO-SUCH-CIPHER]}',
    )}${server('mutual', '{mode: MUTUAL, credentialName: mutual}')}${server(
      'named',
      '{mode: MUTUAL, credentialName: simple, caCertCredentialName: "configmap://default/anchors", subjectAltNames: [partner.example.org]}',
    )}${server('optional', '{mode: OPTIONAL_MUTUAL, credentialName: mutual}')}${server(
      'missing',
      '{mode: SIMPLE, credentialName: missing}',
    )}${server('files', `{mode: MUTUAL, serverCertificate: ${files}/crt, privateKey: ${files}/key, caCertificates: ${files}/ca}`)}${server('through', '{mode: PASSTHROUGH}', 'TLS')}
  - port: {number: 15443, name: auto, protocol: TLS}
    hosts: ['*.local']
    tls: {mode: AUTO_PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ['*.example.com']
  gateways: [front]
  tls:
  - match: [{port: 443, sniHosts: [through.example.com]}]
    route: [{destination: {host: raw, port: {number: 443}}}]
  http:
  - route: [{destination: {host: shop, port: {number: 9080}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: istio
  tls: [{hosts: [ingress.example.com], secretName: simple}]
  rules:
  - host: ingress.example.com
    http: {paths: [{path: /shop, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: anchors}
data: {ca.crt: ${JSON.stringify(clients.certificate)}}
`;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-gateway-tls-'));
  root = opensslCertificate({ directory, name: 'root' });
  clients = opensslCertificate({ directory, name: 'clients' });
  const ports = (await freePorts(7)) as [number, number, number, number, number, number, number];
  const [backend, tlsBackend] = ports.slice(5) as [number, number];
  [http, https, eastWest, proxied, proxiedTls] = ports;
  writePair('crt', 'key', certificate('files.example.com'));
  writeFileSync(join(directory, 'ca'), clients.certificate);
  app = await startEcho('app', backend);
  const own = certificate('through.example.com');
  raw = createServer({ cert: own.certificate, key: own.key, ALPNProtocols: ['istio', 'h2'] }, (socket) =>
    socket.end(`raw ${socket.alpnProtocol}`),
  );
  await new Promise<void>((resolve) => raw.listen(tlsBackend, '127.0.0.1', resolve));
  mesh = await startCompiledMesh(
    configuration(backend, tlsBackend, directory) +
      secret('simple', pair(certificate('simple.example.com'))) +
      secret('mutual', {
        ...pair(certificate('mutual.example.com')),
        'ca.crt': clients.certificate,
      }),
  );
  const proxy = (name: string, gatewayPorts: Record<number, number>, metadata = {}) =>
    mesh.envoy({
      type: 'router',
      name,
      labels: { istio: 'ingressgateway' },
      metadata: {
        OSTRIA_CAPTURE: { outbound: {}, inbound: [], gateway: gatewayPorts, httpProxy: 0 },
        ...metadata,
      },
    });
  gateway = await proxy('ingress', { 80: http, 443: https, 15443: eastWest });
  behind = await proxy(
    'behind',
    { 80: proxied, 443: proxiedTls },
    {
      PROXY_CONFIG: {
        gatewayTopology: {
          numTrustedProxies: 1,
          forwardClientCertDetails: 'APPEND_FORWARD',
          proxyProtocol: {},
        },
      },
    },
  );
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  raw?.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Client {
  cert?: OpensslAuthority;
  headers?: Record<string, string>;
  path?: string;
  maxVersion?: 'TLSv1.2';
  minVersion?: 'TLSv1.3';
  ciphers?: string;
}

/** A request over TLS by its server name, answered by a server that the root vouches for. */
function secure(name: string, { cert, headers, path = '/x', ...rest }: Client = {}): Promise<Answer> {
  const host = `${name}.example.com`;
  return call(
    https,
    path,
    { host, ...headers },
    {
      tls: true,
      servername: host,
      ca: root.certificate,
      // One certificate serves several names here; which one it is is told by its key.
      checkServerIdentity: () => undefined,
      ...(cert ? { cert: cert.certificate, key: cert.key } : {}),
      ...rest,
    },
  );
}

const status = (answer: Promise<Answer>) => answer.then((found) => found.status, String);

test('protocol versions and cipher suites are as the server says; unknown ones break nothing', async () => {
  expect(await status(secure('simple'))).toBe(200);
  expect(await status(secure('simple', { maxVersion: 'TLSv1.2' }))).toMatch(/alert|version|hang up|reset/i);
  expect(await status(secure('old', { maxVersion: 'TLSv1.2' }))).toBe(200);
  expect(await status(secure('old', { minVersion: 'TLSv1.3' }))).toMatch(/alert|version|hang up|reset/i);
  expect(
    await status(secure('old', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })),
  ).toMatch(/alert|handshake|hang up|reset/i);
});

test('MUTUAL takes whom its authorities vouch for, and tells the backend who it is', async () => {
  const client = certificate('client.example.org', { issuer: clients });
  const stranger = certificate('client.example.org');
  expect(await status(secure('mutual'))).toMatch(/alert|required|hang up|reset/i);
  expect(await status(secure('mutual', { cert: stranger }))).toMatch(/alert|unknown|hang up|reset/i);
  const claim = { 'x-forwarded-client-cert': 'By=spiffe://nobody;DNS=admin.example.org' };
  const seen = parseEcho(await secure('mutual', { cert: client, headers: claim })).headers;
  expect(seen['x-forwarded-client-cert']).toMatch(/^Hash=.*Cert="-----BEGIN.*DNS=client\.example\.org$/);
  const partner = certificate('partner.example.org', { issuer: clients });
  expect(await status(secure('named', { cert: partner }))).toBe(200);
  expect(await status(secure('named', { cert: client }))).toMatch(/alert|hang up|reset/i);
});

test('OPTIONAL_MUTUAL verifies a certificate that comes, and lets in who has none', async () => {
  const client = certificate('client.example.org', { issuer: clients });
  expect(parseEcho(await secure('optional')).headers['x-forwarded-client-cert']).toBeUndefined();
  expect(parseEcho(await secure('optional', { cert: client })).headers['x-forwarded-client-cert']).toContain(
    'DNS=client.example.org',
  );
  expect(await status(secure('optional', { cert: certificate('x.example.org') }))).toMatch(
    /alert|unknown|hang up|reset/i,
  );
});

function talk(port: number, servername: string, ALPNProtocols: string[]): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket: TLSSocket = connect({
      ...{ host: '127.0.0.1', port, servername, ALPNProtocols, rejectUnauthorized: false },
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', (error) => resolve(`refused ${error.message}`));
    socket.on('close', () => resolve(text));
  });
}

test('PASSTHROUGH leaves TLS to the backend', async () => {
  expect(await talk(https, 'through.example.com', ['h2'])).toBe('raw h2');
});

test('AUTO_PASSTHROUGH goes where mesh TLS names, and nowhere else', async () => {
  const sni = 'outbound_.443_._.raw.default.svc.cluster.local';
  expect(await talk(eastWest, sni, ['istio', 'h2'])).toBe('raw istio');
  expect(await talk(eastWest, sni, ['h2'])).toMatch(/refused|^$/);
  expect(await talk(eastWest, 'outbound_.443_._.nobody.default.svc.cluster.local', ['istio'])).toMatch(
    /refused|^$/,
  );
  // A cluster of its own, which would speak in the gateway's name.
  expect(await talk(eastWest, 'outbound|443||raw.default.svc.cluster.local', ['istio'])).toMatch(
    /refused|^$/,
  );
});

test('an Ingress is served with and without TLS, by path elements', async () => {
  const ask = (path: string) => call(http, path, { host: 'ingress.example.com' });
  expect(parseEcho(await ask('/shop/1')).path).toBe('/shop/1');
  expect((await ask('/shopping')).status).toBe(404);
  expect(parseEcho(await secure('ingress', { path: '/shop' })).path).toBe('/shop');
});

test('a missing certificate closes its own server only, until it comes', async () => {
  expect(await status(secure('missing'))).toMatch(/hang up|reset|disconnect/i);
  mesh.apply(secret('missing', pair(certificate('missing.example.com'))).slice(5));
  await expect.poll(() => status(secure('missing'))).toBe(200);
});

test('what Envoy would refuse does not reach it: the certificate before stays', async () => {
  const [one, other] = [certificate('missing.example.com'), certificate('missing.example.com')];
  for (const data of [
    { 'tls.crt': one.certificate, 'tls.key': other.key },
    { 'tls.crt': 'nonsense', 'tls.key': one.key },
    { 'tls.crt': one.certificate },
  ])
    mesh.apply(secret('missing', data as Record<string, string>).slice(5));
  // Something else that arrives shows that the others have had their time.
  mesh.apply(secret('simple', pair(certificate('simple.example.com'))).slice(5));
  expect(await status(secure('missing'))).toBe(200);
  expect(mesh.refusals).toEqual([]);
});

/** One HTTP/2 connection that stays open; `closed` once it is not. */
function keptConnection(host: string) {
  const session = connectHttp2(`https://${host}:${https}`, {
    createConnection: () =>
      connect({
        ...{ host: '127.0.0.1', port: https, servername: host, ALPNProtocols: ['h2'] },
        ...{ ca: root.certificate, checkServerIdentity: () => undefined },
      }),
  });
  return {
    session,
    request: (): Promise<number | string> =>
      new Promise((resolve) => {
        const stream = session.request({ ':path': '/x', ':authority': host });
        stream.on('response', (headers) => resolve(headers[':status'] ?? 0));
        stream.on('error', (error) => resolve(error.message));
        stream.resume();
      }),
  };
}

/** The fingerprint of the certificate that a new connection gets. */
function served(servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: https, servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('certificates are replaced under load without one failure, and connections stay', async () => {
  const kept = keptConnection('simple.example.com');
  const modified = await gateway.stat('listener_manager.listener_modified');
  const failures: unknown[] = [];
  let requests = 0;
  let last = false;
  const worker = async (request: () => Promise<number | string>) => {
    while (!last) {
      const answer = await request();
      requests++;
      if (answer !== 200) failures.push(answer);
    }
  };
  const running = [kept.request, () => status(secure('simple')), () => status(secure('simple'))].map(worker);
  for (let round = 1; round <= 8; round++) {
    const next = certificate('simple.example.com');
    mesh.apply(secret('simple', pair(next)).slice(5));
    const wanted = new X509Certificate(next.certificate).fingerprint256;
    await expect.poll(() => served('simple.example.com')).toBe(wanted);
  }
  last = true;
  await Promise.all(running);
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(20);
  expect(kept.session.closed).toBe(false);
  kept.session.destroy();
  expect(await gateway.stat('listener_manager.listener_modified')).toBe(modified);
});

test('whom a revocation list names is refused', async () => {
  const client = certificate('client.example.org', { issuer: clients });
  const other = certificate('other.example.org', { issuer: clients });
  expect(await status(secure('mutual', { cert: client }))).toBe(200);
  const data = {
    ...pair(certificate('mutual.example.com')),
    'ca.crt': clients.certificate,
    'ca.crl': await revocationList(clients, [client.certificate]),
  };
  mesh.apply(secret('mutual', data).slice(5));
  await expect.poll(() => status(secure('mutual', { cert: client }))).toMatch(/alert|revoked|hang up|reset/i);
  expect(await status(secure('mutual', { cert: other }))).toBe(200);
});

function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
  });
}

test('certificates of files are taken up when others are renamed in their place', async () => {
  const client = certificate('client.example.org', { issuer: clients });
  expect(await status(secure('files', { cert: client }))).toBe(200);
  expect(await status(secure('files'))).toMatch(/alert|required|hang up|reset/i);
  const next = certificate('files.example.com');
  writePair('crt.next', 'key.next', next);
  for (const name of ['key', 'crt']) renameSync(join(directory, `${name}.next`), join(directory, name));
  const wanted = new X509Certificate(next.certificate).fingerprint256;
  await expect.poll(() => served('files.example.com')).toBe(wanted);
});

test('behind proxies: the PROXY header and trusted hops tell the client, and client certificates are told on', async () => {
  const request = (headers: string) =>
    `GET /x HTTP/1.1\r\nhost: a.example.com\r\nconnection: close\r\n${headers}\r\n`;
  const headers = 'x-forwarded-for: 203.0.113.9, 198.51.100.7\r\nx-forwarded-client-cert: Hash=abc\r\n';
  const answer = await exchange(proxied, `PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n${request(headers)}`);
  const seen = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1));
  expect(seen.headers['x-forwarded-for']).toBe('203.0.113.9, 198.51.100.7,192.0.2.1');
  expect(seen.headers['x-envoy-external-address']).toBe('198.51.100.7');
  expect(await exchange(proxied, request(''))).toBe('');
  // By default nobody is believed.
  const direct = await exchange(http, request(headers));
  const trusted = JSON.parse(direct.slice(direct.indexOf('{'), direct.lastIndexOf('}') + 1));
  expect(trusted.headers['x-forwarded-client-cert']).toBeUndefined();
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(gateway)).toBe(0);
  expect(await rejectedUpdates(behind)).toBe(0);
});

test('a file that is missing closes its own server only', async () => {
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: more}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: nofile, protocol: HTTPS}
    hosts: [nofile.example.com]
    tls: {mode: SIMPLE, serverCertificate: ${directory}/none, privateKey: ${directory}/none}
`);
  await expect.poll(() => mesh.refusals.join()).toContain('file-cert:');
  expect(await status(secure('nofile'))).toMatch(/hang up|reset|disconnect|alert/i);
  expect(await status(secure('simple'))).toBe(200);
});

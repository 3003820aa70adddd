import { createSocket, type Socket } from 'node:dgram';
import type { Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCertificates, type SuiteCertificates } from '../../conformance/gateway-api/certificates.ts';
import { sendTcp, sendUdp } from '../../conformance/gateway-api/requests.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let sidecar: TestEnvoy;
let certificates: SuiteCertificates;
let ports: number[];
const servers: (Server | TcpServer | Socket)[] = [];

const base64 = (text: string) => Buffer.from(text).toString('base64');
const indent = (text: string) => text.replaceAll(/^/gm, '    ');

function service(name: string, port: number, targets: readonly number[], protocol = 'TCP'): string {
  const slices = targets.map(
    (target, index) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-${index}, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: http, port: ${target}, protocol: ${protocol}}]
endpoints: [{addresses: [127.0.0.1]}]
`,
  );
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: 10.1.0.${port % 250}, ports: [{name: http, port: ${port}, protocol: ${protocol}}]}
${slices.join('')}`;
}

const route = (kind: string, name: string, parent: string, spec: string) => `---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: ${name}}
spec: {parentRefs: [${parent}], ${spec}}
`;

async function startServers(): Promise<{ one: number; two: number; tls: number; tcp: number; udp: number }> {
  certificates = makeCertificates();
  const [one = 0, two = 0] = await freePorts(2);
  servers.push(await startEcho('one', one), await startEcho('two', two));
  const { certificate: cert, key } = certificates.checks;
  const tls = createHttps({ keepAliveTimeout: 0, cert, key }, (_, response) =>
    response.end('secured'),
  ).listen(0, '127.0.0.1');
  const tcp = createTcp((socket) =>
    socket.on('error', () => undefined).on('data', (chunk) => socket.write(chunk)),
  ).listen(0, '127.0.0.1');
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => udp.send(message, from.port, from.address));
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
  servers.push(tls, tcp, udp);
  await Promise.all(
    [tls, tcp].map(
      (server) => server.listening || new Promise((resolve) => server.once('listening', resolve)),
    ),
  );
  return {
    one,
    two,
    tls: (tls.address() as AddressInfo).port,
    tcp: (tcp.address() as AddressInfo).port,
    udp: udp.address().port,
  };
}

beforeAll(async () => {
  const backends = await startServers();
  ports = await freePorts(5);
  const [http = 0, https = 0, tcp = 0, udp = 0, proxy = 0] = ports;
  mesh = await startCompiledMesh(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  defaultScope: All
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: shop.example.org, tls: {certificateRefs: [{name: shop}]}}
  - {name: raw, port: 443, protocol: TLS, hostname: abc.example.com, tls: {mode: Passthrough}}
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: udp, port: 5300, protocol: UDP}
---
apiVersion: v1
kind: Secret
metadata: {name: shop}
data: {tls.crt: ${base64(certificates.validity.certificate)}, tls.key: ${base64(certificates.validity.key)}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: anchors}
data:
  ca.crt: |
${indent(certificates.checksAuthority)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: secured}
spec:
  targetRefs: [{group: '', kind: Service, name: secured}]
  validation: {hostname: abc.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: anchors}]}
${service('one', 81, [backends.one])}
${service('both', 82, [backends.one, backends.two])}
${service('secured', 83, [backends.tls])}
${service('raw', 84, [backends.tls])}
${service('lines', 85, [backends.tcp])}
${service('datagrams', 86, [backends.udp], 'UDP')}
${service('meshed', 87, [backends.one])}
${route(
  'HTTPRoute',
  'web',
  '{name: front, sectionName: http}, {name: front, sectionName: https}',
  `rules: [
  {matches: [{path: {value: /strip}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: one, port: 81}]},
  {matches: [{path: {value: /whole}}], filters: [{type: URLRewrite, urlRewrite: {hostname: new.example.org, path: {type: ReplaceFullPath, replaceFullPath: /x}}}], backendRefs: [{name: one, port: 81}]},
  {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]},
  {matches: [{path: {value: /seat}}], sessionPersistence: {sessionName: seat}, backendRefs: [{name: both, port: 82}]},
  {matches: [{path: {value: /secured}}], backendRefs: [{name: secured, port: 83}]},
  {matches: [{path: {value: /cors}}], filters: [{type: CORS, cors: {allowOrigins: ['https://*.example.org'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*'], allowCredentials: true, maxAge: 60}}], backendRefs: [{name: one, port: 81}]},
  {matches: [{path: {value: /nowhere}}], backendRefs: [{name: nobody, port: 80}]},
  {backendRefs: [{name: one, port: 81}]}]`,
)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-default}
spec: {useDefaultGateways: All, hostnames: [default.example.org], rules: [{backendRefs: [{name: both, port: 82}]}]}
${route('TLSRoute', 'raw', '{name: front, sectionName: raw}', 'hostnames: [abc.example.com], rules: [{backendRefs: [{name: raw, port: 84}]}]')}
${route('TCPRoute', 'lines', '{name: front, sectionName: tcp}', 'rules: [{backendRefs: [{name: lines, port: 85}]}]')}
${route('UDPRoute', 'datagrams', '{name: front, sectionName: udp}', 'rules: [{backendRefs: [{name: datagrams, port: 86}]}]')}
${route(
  'HTTPRoute',
  'meshed',
  "{group: '', kind: Service, name: meshed}",
  'rules: [{matches: [{path: {value: /in}}], filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-by, value: route}]}}], backendRefs: [{name: one, port: 81}]}]',
)}
`);
  const listen = { 80: http, 443: https, 9000: tcp, 5300: udp };
  const capture = { outbound: {}, inbound: [], httpProxy: 0 };
  gateway = await mesh.envoy({
    type: 'router',
    name: 'front-0',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'front' },
    metadata: { OSTRIA_CAPTURE: { ...capture, gateway: listen } },
  });
  sidecar = await mesh.envoy({ metadata: { OSTRIA_CAPTURE: { ...capture, httpProxy: proxy } } });
});

afterAll(async () => {
  await mesh?.stop();
  for (const server of servers) server.close();
});

const get = (path: string, headers: Record<string, string> = {}) =>
  call(ports[0] as number, path, { host: 'shop.example.org', ...headers });

test('prefixes end at a slash, in matches and in rewrites', async () => {
  expect(parseEcho(await get('/strip/a?b=1')).path).toBe('/a?b=1');
  expect(parseEcho(await get('/strip')).path).toBe('/');
  expect(parseEcho(await get('/stripped')).path).toBe('/stripped');
  expect(parseEcho(await get('/whole/a'))).toMatchObject({ path: '/x', host: 'new.example.org' });
  const moved = await get('/moved/a');
  expect([moved.status, moved.headers.location]).toEqual([302, 'http://shop.example.org/a']);
});

test('a backend that is not there is answered 500', async () => {
  expect((await get('/nowhere')).status).toBe(500);
});

test('wildcards of CORS with credentials, which browsers take literally, are answered with what was asked for', async () => {
  const asked = {
    origin: 'https://a.example.org',
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'x-one, x-two',
  };
  const headers = { host: 'shop.example.org', ...asked };
  const preflight = await call(ports[0] as number, '/cors', headers, { method: 'OPTIONS' });
  const allowed = {
    'access-control-allow-origin': 'https://a.example.org',
    'access-control-allow-credentials': 'true',
  };
  expect(preflight).toMatchObject({
    status: 200,
    headers: {
      ...allowed,
      'access-control-allow-methods': 'PUT',
      'access-control-allow-headers': 'x-one, x-two',
      'access-control-max-age': '60',
    },
  });
  expect((await get('/cors', { origin: 'https://a.example.org' })).headers).toMatchObject(allowed);
  const foreign = await get('/cors', { origin: 'https://a.example.com' });
  expect(foreign.headers).not.toHaveProperty('access-control-allow-origin');
});

test('a default Gateway serves routes that ask for one', async () => {
  expect((await get('/', { host: 'default.example.org' })).status).toBe(200);
});

test('a session stays where it began', async () => {
  const first = await get('/seat');
  const cookie = String(first.headers['set-cookie']).split(';')[0] ?? '';
  expect(cookie).toMatch(/^seat=/);
  for (let i = 0; i < 8; i++)
    expect(parseEcho(await get('/seat', { cookie })).version).toBe(parseEcho(first).version);
});

test('backends are called over TLS where a policy says so', async () => {
  expect((await get('/secured')).body).toBe('secured');
});

test('one port ends TLS for one name and passes it through for another; a foreign host is misdirected', async () => {
  const tls = (servername: string, host: string) =>
    call(ports[1] as number, '/', { host }, { tls: true, servername, rejectUnauthorized: false });
  expect(parseEcho(await tls('shop.example.org', 'shop.example.org')).version).toBe('one');
  expect((await tls('abc.example.com', 'abc.example.com')).body).toBe('secured');
  expect((await tls('shop.example.org', 'elsewhere.org')).status).toBe(404);
  await expect(tls('unknown.example.org', 'unknown.example.org')).rejects.toThrow();
});

test('bytes and datagrams', async () => {
  expect(await sendTcp(ports[2] as number, 'hello')).toBe('hello\n');
  expect(String(await sendUdp(ports[3] as number, Buffer.from('hello')))).toBe('hello');
});

test('a route with a Service as parent decides inside the mesh', async () => {
  const answer = await call(ports[4] as number, '/in', { host: 'meshed.default:87' });
  expect([parseEcho(answer).version, answer.headers['x-by']]).toEqual(['one', 'route']);
  expect((await call(ports[4] as number, '/out', { host: 'meshed.default:87' })).status).toBe(404);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect((await rejectedUpdates(gateway)) + (await rejectedUpdates(sidecar))).toBe(0);
});

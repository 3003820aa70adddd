import type { Server } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho as parse, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const fqdn = 'reviews.default.svc.cluster.local';
let mesh: CompiledMesh;
let client: TestEnvoy;
let servers: TestEnvoy[];
const apps: Server[] = [];
let ports: number[];

const workload = (version: string, port: number) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: reviews-${version}
  labels: {app: reviews, version: ${version}, security.istio.io/tlsMode: istio}
spec:
  address: 127.0.0.1
  ports: {http: ${port}}
  labels: {app: reviews, version: ${version}, security.istio.io/tlsMode: istio}
  serviceAccount: reviews
---`;

beforeAll(async () => {
  ports = await freePorts(8);
  const [outbound, proxy, in1, app1, in2, app2] = ports as [number, number, number, number, number, number];
  mesh = await startCompiledMesh(
    `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  clusterIP: 10.1.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
---${workload('v1', in1)}${workload('v2', in2)}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - match: [{uri: {prefix: /abort}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {prefix: /dangling}}]
    route: [{destination: {host: nowhere}}]
  - match: [{uri: {prefix: /cors}}]
    corsPolicy: {allowOrigins: [{exact: 'http://shop.example'}], allowMethods: [GET]}
    rewrite: {uri: /rewritten}
    headers:
      request: {set: {x-set: '100%'}, remove: [x-gone]}
      response: {add: {x-answer: 'yes'}}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {exact: /go}}]
    redirect: {uri: /there, authority: example.com, redirectCode: 302}
  - match: [{uri: {exact: /direct}}]
    directResponse: {status: 202, body: {string: hello}}
  - match: [{authority: {exact: ${fqdn}}, uri: {exact: /by-name}}]
    directResponse: {status: 203}
  - route: [{destination: {host: reviews, subset: v1}}]
`,
    { defaultMtlsMode: 'STRICT' },
  );
  for (const [version, port] of [
    ['v1', app1],
    ['v2', app2],
  ] as const)
    apps.push(await startEcho(version, port));
  client = await mesh.envoy({
    metadata: {
      OSTRIA_CAPTURE: { outbound: { [`${fqdn}:9080`]: outbound }, inbound: [], httpProxy: proxy },
    },
  });
  servers = [];
  for (const [version, listen, app] of [
    ['v1', in1, app1],
    ['v2', in2, app2],
  ] as const)
    servers.push(
      await mesh.envoy(
        {
          name: `reviews-${version}`,
          labels: { app: 'reviews', version },
          metadata: {
            OSTRIA_CAPTURE: { outbound: {}, inbound: [{ servicePort: 9080, listen, app }], httpProxy: 0 },
          },
        },
        { serviceAccount: 'reviews' },
      ),
    );
});

afterAll(async () => {
  await mesh?.stop();
  for (const app of apps) app.close();
});

test('a request goes through both sidecars over mTLS and HTTP/2, with the full name as Host', async () => {
  const answer = await call(ports[0] as number, '/hello');
  expect(answer.status).toBe(200);
  expect(parse(answer)).toMatchObject({ version: 'v1', host: fqdn, path: '/hello', httpVersion: '1.1' });
  expect(parse(answer).headers['x-forwarded-client-cert']).toContain(
    'URI=spiffe://cluster.local/ns/default/sa/default',
  );
  const { body } = await (servers[0] as TestEnvoy).admin('/stats?filter=downstream_rq_http2_total');
  expect(Number(/inbound_9080\.downstream_rq_http2_total: (\d+)/.exec(body)?.[1])).toBeGreaterThan(0);
});

test('routes by header, faults, header operations, rewrites, redirects and direct responses', async () => {
  const port = ports[0] as number;
  expect(parse(await call(port, '/', { 'end-user': 'jason' })).version).toBe('v2');
  expect((await call(port, '/abort')).status).toBe(418);
  const rewritten = await call(port, '/cors/x', { origin: 'http://shop.example', 'x-gone': '1' });
  expect(rewritten.headers).toMatchObject({
    'x-answer': 'yes',
    'access-control-allow-origin': 'http://shop.example',
  });
  expect(parse(rewritten)).toMatchObject({ path: '/rewritten/x', headers: { 'x-set': '100%' } });
  expect(parse(rewritten).headers['x-gone']).toBeUndefined();
  const redirect = await call(port, '/go');
  expect([redirect.status, redirect.headers.location]).toEqual([302, 'http://example.com/there']);
  expect(await call(port, '/direct')).toMatchObject({ status: 202, body: 'hello' });
  expect((await call(port, '/by-name')).status).toBe(203);
});

test('a reference to nothing answers 500', async () => {
  expect((await call(ports[0] as number, '/dangling')).status).toBe(500);
});

test('the forward proxy serves every host by name', async () => {
  const port = ports[1] as number;
  for (const name of ['reviews:9080', 'reviews.default:9080', `${fqdn}:9080`])
    expect(parse(await call(port, `http://${name}/x`, { host: name })).version).toBe('v1');
});

test('the forward proxy finds hosts outside the mesh by DNS', async () => {
  const app = ports[3] as number;
  const answer = await call(ports[1] as number, `http://127.0.0.1:${app}/out`, { host: `127.0.0.1:${app}` });
  expect(parse(answer)).toMatchObject({ path: '/out', host: `127.0.0.1:${app}` });
});

test('the forward proxy tunnels what it does not look into', async () => {
  const app = ports[3] as number;
  const head = await new Promise<string>((resolve, reject) => {
    const socket = connect(ports[1] as number, '127.0.0.1', () =>
      socket.write(`CONNECT 127.0.0.1:${app} HTTP/1.1\r\nHost: 127.0.0.1:${app}\r\n\r\n`),
    );
    let got = '';
    socket.on('error', reject);
    socket.on('data', (data) => {
      const first = got === '';
      got += data.toString();
      if (first) socket.write(`GET /tunnel HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n`);
    });
    socket.on('close', () => resolve(got));
  });
  expect(head).toMatch(/^HTTP\/1.1 200 OK/);
  expect(head).toContain('"path":"/tunnel"');
});

test('plaintext is refused by a STRICT port', async () => {
  await expect(call(ports[2] as number)).rejects.toThrow();
});

test('a peer with another identity is refused', async () => {
  mesh.apply(
    workload('v1', ports[2] as number).replace('serviceAccount: reviews', 'serviceAccount: somebody-else'),
  );
  mesh.apply(
    workload('v2', ports[4] as number).replace('serviceAccount: reviews', 'serviceAccount: somebody-else'),
  );
  await expect.poll(async () => (await call(ports[0] as number)).status).toBe(503);
});

test('requests are counted with Istio\u2019s labels on both sides', async () => {
  const text = async (envoy: TestEnvoy) => (await envoy.admin('/stats/prometheus')).body;
  await expect
    .poll(() => text(client))
    .toMatch(
      /istio_requests_total\{.*call="source\|http\|unknown\|200\|\|-\|reviews\.default\.svc\.cluster\.local\|\|\|spiffe:\S*\|reviews-v1;default;reviews;v1"/,
    );
  expect(await text(servers[0] as TestEnvoy)).toMatch(
    /istio_requests_total\{.*call="destination\|http\|mutual_tls\|.*\|spiffe:\/\/cluster.local\/ns\/default\/sa\/default\|/,
  );
});

test('the access log names the object and field that decided', async () => {
  await call(ports[0] as number, '/dangling');
  await expect
    .poll(() => client.log())
    .toContain('"route":"VirtualService/default/reviews#spec.http[2].match[0]"');
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  for (const envoy of [client, ...servers]) expect(await rejectedUpdates(envoy)).toBe(0);
});

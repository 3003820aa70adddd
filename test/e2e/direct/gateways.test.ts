// Gateways of a standalone mesh: an Envoy for each Gateway of the Gateway API, and an egress gateway of the mesh file.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/bookinfo.ts';
import { call } from '../../support/http-echo.ts';
import { type Ostria, openOstria } from '../../support/ostria.ts';
import { takePortBase } from '../../support/port-base.ts';
import type { Outcome } from '../../support/run-program.ts';

let ostria: Ostria;
let directory: string;
let base: Awaited<ReturnType<typeof takePortBase>>;
let outside: Server;

async function ok(result: Promise<Outcome>): Promise<string> {
  const { code, stdout, stderr } = await result;
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

const apply = (yaml: string) => ok(ostria.run(['apply', '-f', '-'], { input: yaml }));

async function object(kind: string, name: string, namespace: string) {
  return JSON.parse(await ok(ostria.run(['get', kind, name, '-n', namespace, '-o', 'json'])));
}

beforeAll(async () => {
  ostria = await openOstria();
  base = await takePortBase();
  directory = mkdtempSync(join(tmpdir(), 'ostria-gateways-'));
  outside = createServer({ keepAliveTimeout: 0 }, (request, response) =>
    response.end(JSON.stringify(request.headers)),
  );
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  const file = join(directory, 'mesh.yaml');
  const program =
    'require("http").createServer({ keepAliveTimeout: 0 }, (q, s) => s.end("web")).listen(process.env.PORT, "127.0.0.1")';
  writeFileSync(
    file,
    `name: edge
gateways:
  istio-egressgateway: { ports: ["80"] }
  istio-ingressgateway: { ports: ["80"] }
services:
  web: { command: [node, -e, '${program}'], ports: [80] }
`,
  );
  await ok(ostria.run(['up', '-f', file, '-d', '--port-base', String(base.base)]));
});

afterAll(async () => {
  await ostria?.close();
  base?.release();
  outside?.close();
  rmSync(directory, { recursive: true, force: true });
});

const instance = async (name: string) =>
  (await ostria.status()).instances.find((candidate) => candidate.name === name);

const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: front }
spec:
  gatewayClassName: istio
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  parentRefs: [{ name: front }]
  rules: [{ backendRefs: [{ name: web, port: 80 }] }]
`;

test('a Gateway starts an Envoy of its own, says where it listens, and ends it when it goes', async () => {
  await apply(gateway);
  await eventually(async () => expect(await instance('front-istio')).toMatchObject({ ready: true }), 60_000);
  const started = await instance('front-istio');
  const port = base.base + 80;
  expect(started).toMatchObject({ kind: 'gateway', namespace: 'default', service: 'front-istio' });
  // The egress gateway of the mesh file has the memorable port already.
  const listen = started?.endpoints[0]?.listen ?? 0;
  expect(listen).not.toBe(port);
  await eventually(async () => {
    const answer = await fetch(`http://127.0.0.1:${listen}/`);
    expect(`${answer.status} ${await answer.text()}`).toBe('200 web');
  });
  expect(await ok(ostria.run(['ps']))).toContain(`80 on ${listen}`);
  await eventually(async () => {
    const { metadata, status } = await object('gateways.gateway.networking.k8s.io', 'front', 'default');
    expect(metadata.annotations['networking.ostria.io/ports']).toBe(`80=${listen}`);
    expect(status.addresses).toEqual([{ type: 'IPAddress', value: '127.0.0.1' }]);
  });
  expect(await ok(ostria.run(['get', 'events', '-o', 'json']))).toContain(`port 80 at 127.0.0.1:${listen}`);
  const pids = ostria.processes('edge').length;
  await ok(ostria.run(['delete', 'gateways.gateway.networking.k8s.io', 'front']));
  await eventually(async () => expect(await instance('front-istio')).toBeUndefined(), 60_000);
  // Its agent and its Envoy.
  await eventually(async () => expect(ostria.processes('edge').length).toBeLessThanOrEqual(pids - 2));
  const { code } = await ostria.run(['get', 'service', 'front-istio']);
  expect(code).not.toBe(0);
});

test('an Ingress is served by the ingress gateway, and has its address', async () => {
  await apply(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: istio
  rules:
    - host: web.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] }
`);
  const listen = (await instance('istio-ingressgateway'))?.endpoints[0]?.listen ?? 0;
  await eventually(async () => {
    const answer = await call(listen, '/', { host: 'web.example.com' });
    expect(`${answer.status} ${answer.body}`).toBe('200 web');
  });
  await eventually(async () => {
    const { status } = await object('ingress', 'web', 'default');
    expect(status.loadBalancer.ingress).toEqual([
      { ip: '127.0.0.1', ports: [{ port: listen, protocol: 'TCP' }] },
    ]);
  });
});

test('requests leave by the egress gateway of the mesh file, which tells who asked', async () => {
  const { port } = outside.address() as AddressInfo;
  await apply(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside }
spec:
  hosts: [outside.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${port} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: istio-egressgateway }
spec:
  selector: { istio: egressgateway }
  servers:
    - port: { number: 80, name: https, protocol: HTTPS }
      hosts: [outside.example.com]
      tls: { mode: ISTIO_MUTUAL }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: egressgateway }
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
    - name: outside
      trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: ISTIO_MUTUAL, sni: outside.example.com } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: through-egress }
spec:
  hosts: [outside.example.com]
  gateways: [istio-egressgateway, mesh]
  http:
    - match: [{ gateways: [mesh], port: 80 }]
      route: [{ destination: { host: istio-egressgateway.istio-system.svc.cluster.local, subset: outside, port: { number: 80 } } }]
    - match: [{ gateways: [istio-egressgateway], port: 80 }]
      route: [{ destination: { host: outside.example.com, port: { number: 80 } } }]
`);
  const ask = [
    'run',
    '--service',
    'asker',
    '--',
    'sh',
    '-c',
    'curl -s -x $HTTP_PROXY http://outside.example.com/',
  ];
  await eventually(async () => {
    const { stdout } = await ostria.run(ask);
    expect(stdout).toContain('URI=spiffe://cluster.local/ns/default/sa/asker');
  }, 60_000);
});

// Two real sidecars over IPv6, alone and beside IPv4: a client that is called and calls on ::1, and applications that listen on one family.

import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';

const host = 'app.default.svc.cluster.local';
const closers: (() => unknown)[] = [];

/** An application on one address; resolves with its port. */
async function application(address: string): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, response) =>
    response.end(`${address} ${incoming.headers.host}`),
  );
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

function get(
  address: string,
  port: number,
  headers: Record<string, string> = {},
  path = '/',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: address, port, path, headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve(`${response.statusCode} ${body}`));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createTcpServer();
  server.once('error', () => resolve(false));
  server.listen(0, '::1', () => server.close(() => resolve(true)));
});

describe.skipIf(!hasIpv6).each([
  { families: ['IPv4', 'IPv6'], own: '127.0.0.1', calls: ['127.0.0.1', '::1'] },
  { families: ['IPv6'], own: '::1', calls: ['::1'] },
])('a mesh of $families', ({ families, own, calls }) => {
  let mesh: CompiledMesh;
  const envoys: TestEnvoy[] = [];
  let outbound: number;
  let proxy: number;
  let inbound: number;
  let external: number;

  beforeAll(async () => {
    const [first = 0, second = 0, third = 0, fourth = 0] = await freePorts(4);
    [outbound, proxy, inbound] = [first, second, third];
    const app = await application('::1');
    external = await application('::1');
    mesh = await startCompiledMesh(
      `
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {clusterIP: 'fd00::a', clusterIPs: ['fd00::a', 10.1.0.1], selector: {app: app}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-0}
spec: {address: '${own}', labels: {app: app, security.istio.io/tlsMode: istio}, ports: {http: ${inbound}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.test]
  addresses: [fd00:9::1]
  resolution: STATIC
  ports: [{number: 8000, name: http, protocol: HTTP, targetPort: ${external}}]
  endpoints: [{address: ::1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nowhere}
spec: {hosts: [nowhere.invalid], resolution: DNS, ports: [{number: 8090, name: http, protocol: HTTP}]}
`,
      { defaultMtlsMode: 'STRICT' },
    );
    const metadata = (capture: object) => ({
      INSTANCE_IPS: families.map((family) => (family === 'IPv6' ? '::1' : '127.0.0.1')).join(','),
      OSTRIA_CAPTURE: { families, outbound: {}, inbound: [], httpProxy: 0, ...capture },
    });
    envoys.push(
      await mesh.envoy({
        name: 'client',
        ip: own,
        metadata: metadata({ outbound: { [`${host}:80`]: outbound }, httpProxy: proxy }),
      }),
      await mesh.envoy({
        name: 'app-0',
        ip: own,
        metadata: metadata({ inbound: [{ servicePort: 80, listen: inbound, app }], httpProxy: fourth }),
      }),
    );
  });

  afterAll(async () => {
    await mesh?.stop();
    for (const close of closers.splice(0)) await close();
  });

  test.each(calls)('an application calls on %s, and one on ::1 answers', async (address) => {
    expect(await get(address, outbound)).toBe(`200 ::1 ${host}`);
  });

  test('by an IPv6 address as Host, with and without its port', async () => {
    for (const name of ['[fd00::a]', '[fd00::a]:80', 'app'])
      expect(await get(calls.at(-1) ?? '', proxy, { host: name })).toContain('200 ::1');
    expect(await get(calls.at(-1) ?? '', proxy, { host: '[fd00:9::1]:8000' })).toContain('200 ::1');
  });

  test('a name that DNS does not know breaks nothing but itself', async () => {
    expect(await get(calls.at(-1) ?? '', proxy, { host: 'nowhere.invalid:8090' })).toMatch(/^503 /);
    expect(await get(calls.at(-1) ?? '', outbound)).toContain('200 ::1');
  });

  test('plaintext is refused on every address', async () => {
    for (const address of calls) await expect(get(address, inbound)).rejects.toThrow();
  });

  test('nothing was refused', async () => {
    expect(mesh.refusals).toEqual([]);
    for (const envoy of envoys) expect(await rejectedUpdates(envoy)).toBe(0);
  });
});

// Captured traffic: two network namespaces on one wire, rules that lead TCP through the proxies, and applications that know of nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { openWire, type Wire, whyNoNetns } from '../../support/netns.ts';

const why = whyNoNetns();
const ports = { http: 8080, undeclared: 8081, excluded: 8082, banner: 9000, dns: 53 };

describe.skipIf(why !== undefined)(`captured traffic${why === undefined ? '' : ` (${why})`}`, () => {
  let wire: Wire;
  let mesh: CompiledMesh;
  let client: TestEnvoy;
  let server: TestEnvoy;

  beforeAll(async () => {
    wire = await openWire({ excludeInboundPorts: [ports.excluded], excludeOutboundPorts: [ports.excluded] });
    await wire.serve(1, [ports.http, ports.banner, ports.dns].map(String));
    mesh = await startCompiledMesh(`
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: ${ports.http}}]}
---
apiVersion: v1
kind: Service
metadata: {name: greeter}
spec: {clusterIP: 10.1.0.2, selector: {app: reviews}, ports: [{name: tcp, port: 25, targetPort: ${ports.banner}}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1}
spec: {address: ${wire.addresses[1]}, labels: {app: reviews}, serviceAccount: reviews}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec:
  selector: {matchLabels: {app: reviews}}
  mtls: {mode: STRICT}
  portLevelMtls: {${ports.undeclared}: {mode: PERMISSIVE}}
`);
    const proxy = (side: 0 | 1, name: string) =>
      mesh.envoy(
        {
          name,
          ip: wire.addresses[side],
          labels: { app: name.replace(/-1$/, '') },
          metadata: { INTERCEPTION_MODE: 'REDIRECT' },
        },
        { serviceAccount: name.replace(/-1$/, ''), prefix: wire.proxyPrefix(side) },
      );
    server = await proxy(1, 'reviews-1');
    client = await proxy(0, 'web');
  });

  afterAll(async () => {
    await mesh?.stop();
    wire?.close();
  });

  const get = (url: string, host: string, asProxy = false) => wire.call(0, ['get', url, host], asProxy);

  test('a call to a virtual address goes by mutual TLS to the server, whose application sees who called', async () => {
    const answer = await get('http://10.1.0.1/hello', 'reviews');
    expect(answer).toMatchObject({ status: 200 });
    const seen = JSON.parse(answer.body as string) as {
      path: string;
      headers: Record<string, string>;
      from: string;
    };
    expect(seen.path).toBe('/hello');
    expect(seen.headers['x-forwarded-client-cert']).toContain('spiffe://cluster.local/ns/default/sa/web');
    expect(seen.from, 'by which the rules know the proxy').toBe('127.0.0.6');
    expect(await client.stat('cluster.outbound|80||reviews.default.svc.cluster.local.ssl.handshake')).toBe(1);
  });

  test('a server that speaks first is heard at once', async () => {
    // Who waits for the client's first bytes would hear nothing within the call's patience.
    expect(await wire.call(0, ['banner', '10.1.0.2', '25'])).toEqual({ text: '220 hello\r\n' });
  });

  test('plaintext past the capture is refused by a STRICT port', async () => {
    const answer = await get(`http://${wire.addresses[1]}:${ports.http}/`, 'reviews', true);
    expect(answer.status).toBeUndefined();
    expect(answer.error).toBeDefined();
  });

  test('an address that nobody configured is passed through, and refused under REGISTRY_ONLY', async () => {
    const unknown = `http://${wire.addresses[1]}:${ports.undeclared}/`;
    expect(await get(unknown, 'unknown.example.com')).toEqual({ status: 200, body: 'undeclared' });
    expect(await client.stat('cluster.PassthroughCluster.upstream_cx_total')).toBeGreaterThan(0);
    mesh.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
`);
    await expect.poll(() => get(unknown, 'unknown.example.com').then(({ status }) => status)).not.toBe(200);
    expect((await get('http://10.1.0.1/', 'reviews')).status, 'what the mesh knows goes on').toBe(200);
  });

  test('ports that are excluded are nobody’s but the applications’, at both ends', async () => {
    // The client is under REGISTRY_ONLY, the server STRICT.
    const answer = await get(`http://${wire.addresses[1]}:${ports.excluded}/plain`, 'anything');
    expect(answer.status).toBe(200);
    const seen = JSON.parse(answer.body as string) as { headers: Record<string, string>; from: string };
    expect(seen.from).toBe(wire.addresses[0]);
    expect(Object.keys(seen.headers).sort()).toEqual(['connection', 'host']);
  });

  test('datagrams, and with them DNS, are left alone; no update was refused', async () => {
    expect(await wire.call(0, ['datagram', wire.addresses[1], String(ports.dns)])).toEqual({
      text: 'question',
    });
    for (const envoy of [client, server]) expect(await rejectedUpdates(envoy)).toBe(0);
  });
});

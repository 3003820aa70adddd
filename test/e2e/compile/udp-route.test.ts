// DNS, asked by Node's own resolver (c-ares) of a gateway with a UDPRoute, over IPv4 and IPv6.
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePort } from '../../support/ports.ts';

/** Answers every question for an IPv4 address with one: the question comes back with a record behind it (RFC 1035, section 4.1). */
function answer(query: Buffer, address: readonly number[]): Buffer {
  const questionEnd = query.indexOf(0, 12) + 5;
  const header = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])]);
  // The name as a pointer, type A, class IN, 60 seconds, four bytes.
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address]);
  return Buffer.concat([header, query.subarray(12, questionEnd), record]);
}

const sockets: Socket[] = [];

/** A name server on one loopback address; resolves with its port. */
async function nameServer(at: '127.0.0.1' | '::1', address: readonly number[]): Promise<number> {
  const socket = createSocket(at === '::1' ? 'udp6' : 'udp4');
  sockets.push(socket);
  socket.on('message', (query, from) => socket.send(answer(query, address), from.port, from.address));
  socket.bind(0, at);
  await once(socket, 'listening');
  return socket.address().port;
}

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(0, '::1', () => server.close(() => resolve(true)));
});

describe.skipIf(!hasIpv6)('a UDPRoute', () => {
  let mesh: CompiledMesh;
  let gateway: TestEnvoy;
  let listen: number;

  beforeAll(async () => {
    const [one, two] = [
      await nameServer('127.0.0.1', [192, 0, 2, 1]),
      await nameServer('::1', [192, 0, 2, 2]),
    ];
    listen = await freePort();
    const slice = (name: string, type: string, address: string, port: number) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, labels: {kubernetes.io/service-name: names}}
addressType: ${type}
ports: [{name: dns, port: ${port}, protocol: UDP}]
endpoints: [{addresses: ['${address}']}]
`;
    mesh = await startCompiledMesh(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  listeners: [{name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec: {clusterIP: 10.1.0.1, ports: [{name: dns, port: 53, protocol: UDP}]}
${slice('four', 'IPv4', '127.0.0.1', one)}${slice('six', 'IPv6', '::1', two)}---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: names}
spec: {parentRefs: [{name: front}], rules: [{backendRefs: [{name: names, port: 53}]}]}
`);
    gateway = await mesh.envoy({
      type: 'router',
      name: 'front-0',
      labels: { 'gateway.networking.k8s.io/gateway-name': 'front' },
      metadata: {
        INSTANCE_IPS: '127.0.0.1,::1',
        OSTRIA_CAPTURE: {
          families: ['IPv4', 'IPv6'],
          outbound: {},
          inbound: [],
          httpProxy: 0,
          gateway: { 53: listen },
        },
      },
    });
  });

  afterAll(async () => {
    await mesh?.stop();
    for (const socket of sockets) socket.close();
  });

  test.each(['127.0.0.1', '[::1]'])(
    'takes questions on %s and asks every endpoint, of either family',
    async (at) => {
      const seen = new Set<string>();
      // Each resolver asks from a port of its own, so each may get another endpoint: that 60 get the same one has a chance of 2^-59.
      for (let asked = 0; asked < 60 && seen.size < 2; asked++) {
        const resolver = new Resolver({ timeout: 5_000, tries: 6 });
        resolver.setServers([`${at}:${listen}`]);
        for (const address of await resolver.resolve4(`host-${asked}.example.org`)) seen.add(address);
      }
      expect(seen).toEqual(new Set(['192.0.2.1', '192.0.2.2']));
    },
  );

  test('nothing was refused', async () => {
    expect(mesh.refusals).toEqual([]);
    expect(await rejectedUpdates(gateway)).toBe(0);
  });
});

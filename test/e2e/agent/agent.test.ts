import { rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive, signalProcess } from '../../../src/kit/process-id.ts';
import {
  createWorkload,
  inboundResources,
  outboundResources,
  type TestWorkload,
} from '../../support/agent.ts';
import { openssl } from '../../support/authority.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';
import { startLoad } from '../../support/load.ts';
import { freePorts } from '../../support/ports.ts';
import { waitFor } from '../../support/wait-for.ts';

let controlPlane: FakeControlPlane;
let application: Server;
let client: TestWorkload;
let server: TestWorkload;
let out = 0;
/** A request that is answered when the test says so. */
const slow = { begun: Promise.withResolvers<void>(), released: Promise.withResolvers<void>() };

beforeAll(async () => {
  controlPlane = await startFakeControlPlane();
  application = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    if (request.url === '/metrics') response.end('# TYPE own counter\nown 3\n');
    else if (request.url === '/slow') {
      slow.begun.resolve();
      void slow.released.promise.then(() => response.end('slow'));
    } else response.end('hello');
  });
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve));
  const app = (application.address() as AddressInfo).port;
  const [inbound = 0, outbound = 0] = await freePorts(2);
  out = outbound;
  void controlPlane.script('reviews-1', inboundResources(inbound, app));
  void controlPlane.script('productpage-1', outboundResources(outbound, inbound, 'reviews', { once: true }));
  // Renewed after seven seconds, dead after fourteen: a machine that is busy may be late by as much.
  const certificate = { ttlSeconds: 14 };
  server = await createWorkload(controlPlane, 'reviews', {
    certificate,
    applicationMetrics: { port: app, path: '/metrics' },
  });
  client = await createWorkload(controlPlane, 'productpage', { certificate });
  await Promise.all([server.start(), client.start()]);
  await Promise.all([server.ready(), client.ready()]);
});

afterAll(async () => {
  await Promise.all([server?.cleanUp(), client?.cleanUp()]);
  application?.closeAllConnections();
  application?.close();
  await controlPlane?.close();
});

const get = (path = '/') => fetch(`http://127.0.0.1:${out}${path}`);

describe('a workload with an agent and a stock Envoy', () => {
  test('calls another over mutual TLS; keys and sockets are private; openssl accepts the certificate', async () => {
    const answer = await get();
    expect([answer.status, await answer.text()]).toEqual([200, 'hello']);
    for (const name of [
      'identity.pem',
      'root-cert.pem',
      'sds.sock',
      'admin.sock',
      'envoy.log',
      'envoy-bootstrap.json',
    ])
      expect([name, (statSync(join(server.stateDirectory, name)).mode & 0o777).toString(8)]).toEqual([
        name,
        '600',
      ]);
    const identity = join(server.stateDirectory, 'identity.pem');
    expect(openssl(['verify', '-CAfile', controlPlane.rootFile, identity])).toMatch(/OK/);
    expect(openssl(['x509', '-in', identity, '-noout', '-text'])).toMatch(
      /critical\s+URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews\n/,
    );
    expect(controlPlane.rejections).toEqual([]);
  });

  test('certificates of seconds are renewed while every request makes a new connection: none fails', async () => {
    const issued = controlPlane.events.length;
    const load = startLoad(`http://127.0.0.1:${out}/`, { perSecond: 40 });
    // Twice each: the first ones have ended by then.
    await waitFor('four renewals', () => controlPlane.events.length >= issued + 4, { timeoutMs: 90_000 });
    await load.goesOn(40);
    const result = await load.stop();
    expect(result.failures).toEqual([]);
    expect(result.answered).toBe(result.requests);
    const renewals = controlPlane.events.slice(issued);
    expect(renewals.map(({ outcome, credential }) => [outcome, credential])).toEqual(
      renewals.map(() => ['issued', 'certificate']),
    );
  });

  test('kill -9 of the agent stops no traffic, and the next agent takes over the same Envoy', async () => {
    const envoy = server.envoyId();
    const load = startLoad(`http://127.0.0.1:${out}/`, { perSecond: 40 });
    await load.goesOn(10);
    server.kill('SIGKILL');
    await server.exited();
    await load.goesOn(40);
    expect(isAlive(envoy)).toBe(true);
    const issued = controlPlane.events.length;
    await server.start();
    await server.ready();
    expect(server.log()).toContain(`adopted the running Envoy pid=${envoy.pid}`);
    // Envoy has come back to the new agent's SDS: the certificate after the next renewal reaches it.
    await waitFor('a renewal by the new agent', () =>
      controlPlane.events.slice(issued).some(({ identity }) => identity?.endsWith('/reviews')),
    );
    const serial = () =>
      openssl(['x509', '-in', join(server.stateDirectory, 'identity.pem'), '-noout', '-serial'])
        .trim()
        .split('=')[1]
        ?.toLowerCase();
    await waitFor('Envoy to use it', async () => (await server.admin('/certs')).includes(serial() as string));
    const result = await load.stop();
    expect(result.failures).toEqual([]);
    expect(server.envoyId()).toEqual(envoy);
  });

  test('kill -9 of Envoy: the agent that adopted it starts another, and it serves', async () => {
    const first = server.envoyId();
    signalProcess(first, 'SIGKILL');
    await waitFor('another Envoy', () => server.envoyId().pid !== first.pid && isAlive(server.envoyId()));
    await server.ready();
    await waitFor('an answer', async () => (await get()).status === 200);
    // And one that is its own child, too.
    const second = server.envoyId();
    signalProcess(second, 'SIGKILL');
    await waitFor('a third Envoy', () => server.envoyId().pid !== second.pid && isAlive(server.envoyId()));
    await server.ready();
    expect(server.log()).toMatch(/Envoy was ended by SIGKILL; starting it again in \d+ ms restarts=2/);
  });

  test('one agent per state directory', async () => {
    const first = server.agentId();
    await server.start();
    expect(await server.exited()).toBe(1);
    expect(server.log()).toMatch(/another agent serves .*sds\.sock; end it first/);
    signalProcess(first, 'SIGKILL');
    await waitFor('the first agent to end', () => !isAlive(first));
    await server.start();
    await server.ready();
  });

  test('SIGHUP ends the agent alone; an Envoy that nobody noted is replaced, never doubled', async () => {
    const noted = server.envoyId();
    server.kill('SIGHUP');
    expect(await server.exited()).toBe(0);
    expect(isAlive(noted)).toBe(true);
    await server.start();
    await server.ready();
    expect(server.envoyId()).toEqual(noted);
    // As if the agent had died between the start of Envoy and the note of it.
    server.kill('SIGKILL');
    await server.exited();
    rmSync(join(server.stateDirectory, 'envoy-process.json'));
    await server.start();
    await waitFor('another Envoy', () => isAlive(server.envoyId()));
    await server.ready();
    expect(isAlive(noted)).toBe(false);
    expect(server.log()).toMatch(/replacing the running Envoy: .* pid=\d+/);
    await waitFor('an answer', async () => (await get()).status === 200);
  });

  test('the control plane gone for longer than a certificate lives: a new start with a new token mends it', async () => {
    const envoys = [client.envoyId(), server.envoyId()];
    await controlPlane.pause();
    await waitFor('the end of both certificates', () =>
      [client, server].every((each) => each.log().includes('has ended and was not renewed')),
    );
    expect(server.log()).toMatch(/not renewed: 127\.0\.0\.1:\d+: connect ECONNREFUSED/);
    expect((await server.readiness()).text).toMatch(/^no certificate: .*ECONNREFUSED/);
    await controlPlane.resume();
    // The client's token is spent: it asks its supervisor for a start with another one, and leaves its Envoy alone. The server's is
    // good still, if its certificate was at its last start.
    expect(await client.exited()).toBe(3);
    await client.start();
    const code = await Promise.race([server.exited(), server.ready()]);
    if (code !== undefined) {
      expect(code).toBe(3);
      await server.start();
    }
    await Promise.all([client.ready(), server.ready()]);
    await waitFor('an answer', async () => (await get()).status === 200);
    expect([client.envoyId(), server.envoyId()]).toEqual(envoys);
  });

  test('merged metrics: Envoy’s, the application’s and the agent’s', async () => {
    const text = await (await fetch(`http://127.0.0.1:${server.ports.metrics}/stats/prometheus`)).text();
    expect(text).toMatch(/^own 3$/m);
    expect(text).toMatch(/^envoy_server_live(\{\})? 1$/m);
    expect(text).toMatch(/^istio_agent_cert_expiry_seconds\{resource_name="default"\} \d+$/m);
  });
});

describe('ending', () => {
  test('quitquitquit is refused to browsers and other methods', async () => {
    const url = `http://127.0.0.1:${client.ports.metrics}/quitquitquit`;
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(url, { method: 'POST', headers: { origin: 'http://example.com' } })).status).toBe(
      403,
    );
    expect((await client.readiness()).status).toBe(200);
  });

  test('quitquitquit lets a slow request end, then ends Envoy and the agent', async () => {
    const answered = get('/slow');
    await slow.begun.promise;
    const envoy = client.envoyId();
    const answer = await fetch(`http://127.0.0.1:${client.ports.metrics}/quitquitquit`, { method: 'POST' });
    expect(answer.status).toBe(200);
    expect((await client.readiness()).text).toBe('draining');
    slow.released.resolve();
    expect(await (await answered).text()).toBe('slow');
    expect(await client.exited()).toBe(0);
    expect(isAlive(envoy)).toBe(false);
  });
});

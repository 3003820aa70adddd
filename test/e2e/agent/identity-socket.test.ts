// Somebody else keeps the workload's certificate and serves it by SDS at a unix socket, as a SPIRE agent does.
import { X509Certificate } from 'node:crypto';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SecretSchema } from '../../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '../../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { issueWithNewKey, type ServerCertificate } from '../../../src/ca/server-certificate.ts';
import { createWorkload, inboundResources, type TestWorkload } from '../../support/agent.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';
import { startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const identity = 'spiffe://cluster.local/ns/default/sa/web';
const secretType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

let controlPlane: FakeControlPlane;
let workload: TestWorkload;
let sds: SdsServer;
let socket: string;
const closers: (() => unknown)[] = [];

interface SdsServer {
  /** Names that were asked for. */
  readonly asked: Set<string>;
  give(certificate: ServerCertificate): void;
  stop(): void;
}

/** A small SDS server: the certificate as `default`, the roots as `ROOTCA`. */
async function startSds(path: string, root: string, first: ServerCertificate): Promise<SdsServer> {
  rmSync(path, { force: true });
  const asked = new Set<string>();
  const pushes = new Set<() => void>();
  let current = first;
  let version = 1;
  const bytes = (text: string) => ({ specifier: { case: 'inlineBytes' as const, value: Buffer.from(text) } });
  const secretOf = (name: string) =>
    create(SecretSchema, {
      name,
      type:
        name === 'default'
          ? {
              case: 'tlsCertificate',
              value: { certificateChain: bytes(current.certificateChain), privateKey: bytes(current.key) },
            }
          : { case: 'validationContext', value: { trustedCa: bytes(root) } },
    });
  const server = new Server();
  server.addService(
    {
      streamSecrets: {
        path: '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
        requestStream: true,
        responseStream: true,
        requestSerialize: () => Buffer.alloc(0),
        requestDeserialize: (message: Buffer) => fromBinary(DiscoveryRequestSchema, message),
        responseSerialize: (message: DiscoveryResponse) =>
          Buffer.from(toBinary(DiscoveryResponseSchema, message)),
        responseDeserialize: () => create(DiscoveryResponseSchema),
      },
    },
    {
      streamSecrets: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) => {
        let names: string[] = [];
        let sent = 0;
        const push = (): void => {
          if (sent === version || names.length === 0) return;
          sent = version;
          const resources = names.map((name) => ({
            typeUrl: secretType,
            value: toBinary(SecretSchema, secretOf(name)),
          }));
          call.write(
            create(DiscoveryResponseSchema, {
              versionInfo: String(version),
              nonce: String(version),
              typeUrl: secretType,
              resources,
            }),
          );
        };
        pushes.add(push);
        call.on('data', (request: DiscoveryRequest) => {
          names = request.resourceNames;
          for (const name of names) asked.add(name);
          push();
        });
        call.on('end', () => pushes.delete(push));
        call.on('error', () => pushes.delete(push));
      },
    },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  chmodSync(path, 0o600);
  return {
    asked,
    give(certificate) {
      current = certificate;
      version++;
      for (const push of pushes) push();
    },
    stop: () => server.forceShutdown(),
  };
}

const issue = (uri = identity) => issueWithNewKey(controlPlane.authority, { uris: [uri] });

beforeAll(async () => {
  controlPlane = await startFakeControlPlane();
  closers.push(() => controlPlane.close());
  socket = join(controlPlane.directory, 'sds.sock');
  workload = await createWorkload(controlPlane, 'web', { identitySocket: socket });
  closers.push(() => workload.cleanUp());
});
afterAll(async () => {
  sds?.stop();
  for (const close of closers.reverse()) await close();
});

/** Serial number that the workload's Envoy shows to a member of the mesh. */
async function shownSerial(port: number): Promise<string> {
  const { key, certificateChain: cert } = await issue('spiffe://cluster.local/ns/default/sa/client');
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, key, cert };
    const connection = connectTls(options, () => {
      resolve(connection.getPeerCertificate().serialNumber);
      connection.destroy();
    });
    connection.once('error', reject);
  });
}

const serialOf = ({ certificateChain }: ServerCertificate) =>
  new X509Certificate(certificateChain).serialNumber;

test('Envoy and agent live by the socket: late start, renewal, restart, another identity', async () => {
  const [listen = 0, port = 0] = await freePorts(2);
  const app = await startEcho('v1', port);
  closers.push(() => app.close());
  await controlPlane.script('web-1', inboundResources(listen, port));
  await workload.start();
  // Nobody is there yet: no certificate of our own takes its place.
  await expect
    .poll(async () => (await workload.readiness().catch(() => ({ text: '' }))).text)
    .toMatch(/sds\.sock/);
  const first = await issue();
  sds = await startSds(socket, controlPlane.authority.root, first);
  await workload.ready();
  expect(await shownSerial(listen)).toBe(serialOf(first));
  expect([...sds.asked].sort()).toEqual(['ROOTCA', 'default']);
  expect(controlPlane.events).toEqual([]);
  const metrics = await (await fetch(`http://127.0.0.1:${workload.ports.metrics}/stats/prometheus`)).text();
  expect(metrics).toMatch(/istio_agent_cert_expiry_seconds\{resource_name="default"\} 8\d{4}/);

  const second = await issue();
  sds.give(second);
  await expect.poll(() => shownSerial(listen)).toBe(serialOf(second));

  sds.stop();
  expect(await shownSerial(listen)).toBe(serialOf(second));
  expect((await workload.readiness()).status).toBe(200);
  const third = await issue();
  sds = await startSds(socket, controlPlane.authority.root, third);
  await expect.poll(() => shownSerial(listen), { timeout: 40_000 }).toBe(serialOf(third));

  sds.give(await issue('spiffe://cluster.local/ns/default/sa/another'));
  await expect
    .poll(async () => (await workload.readiness()).text)
    .toMatch(/for URI:.*another, expected .*web/);
});

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SecretSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SPIFFECertValidatorConfigSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import type { TrustExtras } from '../ca/client.ts';
import { encodeFrame, FrameReader } from '../kit/grpc-http2.ts';
import { createAgentLog } from './agent-log.ts';
import { peerTrust } from './peer-trust.ts';
import { encodeSecret, SECRET_TYPE } from './sds-messages.ts';
import { type SdsServer, startSdsServer } from './sds-server.ts';

let directory: string;
let socketPath: string;
let server: SdsServer;
let session: ClientHttp2Session;
const lines: string[] = [];
const log = createAgentLog('info', (line) => lines.push(line));

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-sds-'));
  socketPath = join(directory, 'sds.sock');
  server = await startSdsServer(socketPath, log);
  session = connect('http://sds', { createConnection: () => connectSocket(socketPath) });
  session.on('error', () => {});
});
afterEach(async () => {
  session.destroy();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** One call, its messages in order. */
function open(method: string) {
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': `/envoy.service.secret.v3.SecretDiscoveryService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const reader = new FrameReader(1 << 20);
  const queue: Buffer[] = [];
  const waiting: ((message: Buffer) => void)[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      const next = waiting.shift();
      if (next) next(message);
      else queue.push(message);
    }
  });
  const status = new Promise<string>((resolve) => {
    const take = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) resolve(String(headers['grpc-status']));
    };
    stream.on('trailers', take);
    stream.on('response', take);
  });
  return {
    send: (bytes: Uint8Array) => stream.write(encodeFrame(bytes)),
    next: () =>
      new Promise<Buffer>((resolve) => {
        const message = queue.shift();
        if (message) resolve(message);
        else waiting.push(resolve);
      }),
    pending: () => queue.length,
    status,
    end: () => stream.end(),
  };
}

const identity = (n: number) => [
  { name: 'default', certificateChain: `chain ${n}`, key: `key ${n}` },
  { name: 'ROOTCA', trustedRoots: 'root' },
];

function secretOf(bytes: Uint8Array) {
  const { name, type } = fromBinary(SecretSchema, bytes);
  const text = (source: { specifier: { value?: unknown } } | undefined) =>
    Buffer.from(source?.specifier.value as Uint8Array).toString();
  if (type.case === 'tlsCertificate')
    return [name, text(type.value.certificateChain), text(type.value.privateKey)];
  if (type.case === 'validationContext') return [name, text(type.value.trustedCa)];
  return [name, type.case];
}

describe('state of the world', () => {
  const request = (fields: Parameters<typeof create<typeof DiscoveryRequestSchema>>[1]) =>
    toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { typeUrl: SECRET_TYPE, ...fields }));

  test('answers once the secret exists, pushes a new one, is quiet on ACK', async () => {
    const call = open('StreamSecrets');
    call.send(request({ resourceNames: ['default'], node: { id: 'a' } }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(call.pending()).toBe(0);
    server.set(identity(1));
    const first = fromBinary(DiscoveryResponseSchema, await call.next());
    expect(first.typeUrl).toBe(SECRET_TYPE);
    expect(first.resources.map((any) => [any.typeUrl, secretOf(any.value)])).toEqual([
      [SECRET_TYPE, ['default', 'chain 1', 'key 1']],
    ]);
    call.send(
      request({ resourceNames: ['default'], versionInfo: first.versionInfo, responseNonce: first.nonce }),
    );
    server.set(identity(1));
    server.set(identity(2));
    const second = fromBinary(DiscoveryResponseSchema, await call.next());
    expect(second.nonce).not.toBe(first.nonce);
    expect(second.versionInfo).not.toBe(first.versionInfo);
    expect(secretOf(second.resources[0]?.value as Uint8Array)).toEqual(['default', 'chain 2', 'key 2']);
    expect(call.pending()).toBe(0);
  });

  test('a NACK is logged and not answered with the same again', async () => {
    server.set(identity(1));
    const call = open('StreamSecrets');
    call.send(request({ resourceNames: ['default', 'ROOTCA'] }));
    const response = fromBinary(DiscoveryResponseSchema, await call.next());
    expect(response.resources.map((any) => secretOf(any.value)[0])).toEqual(['default', 'ROOTCA']);
    call.send(
      request({
        resourceNames: ['default', 'ROOTCA'],
        responseNonce: response.nonce,
        errorDetail: { message: 'bad pem' },
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(call.pending()).toBe(0);
    expect(lines.at(-1)).toMatch(/Envoy rejected a secret: bad pem/);
  });
});

describe('delta', () => {
  const request = (fields: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]) =>
    toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { typeUrl: SECRET_TYPE, ...fields }),
    );

  test('sends what is asked for, then only what changed', async () => {
    server.set(identity(1));
    const call = open('DeltaSecrets');
    call.send(request({ resourceNamesSubscribe: ['default', 'ROOTCA', 'unknown'] }));
    const first = fromBinary(DeltaDiscoveryResponseSchema, await call.next());
    expect(first.resources.map(({ name }) => name)).toEqual(['default', 'ROOTCA']);
    expect(secretOf(first.resources[1]?.resource?.value as Uint8Array)).toEqual(['ROOTCA', 'root']);
    call.send(request({ responseNonce: first.nonce }));
    server.set(identity(2));
    const second = fromBinary(DeltaDiscoveryResponseSchema, await call.next());
    expect(second.resources.map(({ name }) => name)).toEqual(['default']);
    call.send(request({ responseNonce: second.nonce, resourceNamesUnsubscribe: ['default'] }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    server.set(identity(3));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(call.pending()).toBe(0);
  });
});

test('other methods, other types, garbage and floods end the call with a status', async () => {
  expect(await open('FetchSecrets').status).toBe('12');
  const wrong = open('DeltaSecrets');
  wrong.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: 'x' })));
  expect(await wrong.status).toBe('3');
  const garbage = open('StreamSecrets');
  garbage.send(Buffer.from([0xff, 0xff, 0xff]));
  expect(await garbage.status).toBe('13');
  const many = open('DeltaSecrets');
  const names = Array.from({ length: 100 }, (_, index) => `s${index}`);
  many.send(
    toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { resourceNamesSubscribe: names }),
    ),
  );
  expect(await many.status).toBe('8');
});

test('the socket is private, and only one server has it', async () => {
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  await expect(startSdsServer(socketPath, log)).rejects.toMatchObject({ code: 'AgentRunning' });
});

describe('trust of peers', () => {
  const roots = (text: string) => ({
    specifier: { case: 'inlineBytes' as const, value: new Uint8Array(Buffer.from(text)) },
  });
  const decoded = (extras: TrustExtras) => {
    const secret = fromBinary(SecretSchema, encodeSecret(peerTrust('ROOT', extras)));
    return secret.type.case === 'validationContext' ? secret.type.value : undefined;
  };

  test('by the roots, with lists of revoked certificates for leaves alone', () => {
    expect(decoded({ crl: '', domains: [] })).toMatchObject({ trustedCa: roots('ROOT') });
    expect(decoded({ crl: '', domains: [] })?.crl).toBeUndefined();
    expect(decoded({ crl: 'CRL', domains: [] })).toMatchObject({
      trustedCa: roots('ROOT'),
      crl: roots('CRL'),
      onlyVerifyLeafCertCrl: true,
    });
  });

  test('by trust domain', () => {
    const context = decoded({
      crl: '',
      domains: [
        { trustDomain: 'cluster.local', roots: 'MORE', meshRoots: true },
        { trustDomain: 'partner.example', roots: 'THEIRS', meshRoots: false },
      ],
    });
    expect(context?.trustedCa).toBeUndefined();
    const { name, typedConfig } = context?.customValidatorConfig ?? {};
    expect(name).toBe('envoy.tls.cert_validator.spiffe');
    const config = typedConfig && anyUnpack(typedConfig, SPIFFECertValidatorConfigSchema);
    expect(config).toMatchObject({
      trustDomains: [
        { name: 'cluster.local', trustBundle: roots('ROOTMORE') },
        { name: 'partner.example', trustBundle: roots('THEIRS') },
      ],
    });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AddressSchema } from '../../../gen/proto/envoy/config/core/v3/address_pb.js';
import { ListenerSchema } from '../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { adsBootstrap } from '../../kit/ads-bootstrap.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { silentLog } from '../../kit/silent-log.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import type { ResourceSource } from '../../snapshot/push.ts';
import { type Resource, typeUrls } from '../../snapshot/resource.ts';
import { createLedger, type Ledger, type RejectedEvent } from '../../xds/ledger.ts';
import { createXdsServer } from '../../xds/server.ts';

type Resources = ReadonlyMap<string, ReadonlyMap<string, Resource>>;

/** How long an Envoy may take to connect, and to have answered everything. */
const connectMs = 15_000;
const answerMs = 20_000;
/** All is answered when nothing more was asked for during this: routes are asked for by listeners. */
const settledMs = 700;

/**
 * Loads what a proxy would be sent into a real Envoy, which is started for it and ended, and resolves with what it refuses. Its
 * listeners take free ports of the loopback address, so that a mesh that runs is not in the way. Throws `EnvoyUnusable`.
 */
export async function loadInEnvoy(
  envoy: string,
  proxy: MeshProxy,
  resources: Resources,
): Promise<RejectedEvent[]> {
  const ledger = createLedger();
  const server = createXdsServer({
    source: fixedSource(onLoopback(resources)),
    authenticate: () => ({ ok: true, identity: undefined }),
    listeners: [{ name: 'plaintext', host: '127.0.0.1', port: 0 }],
    ledger,
    log: silentLog,
  });
  await server.start();
  const directory = mkdtempSync(join(tmpdir(), 'ostria-check-'));
  const file = join(directory, 'bootstrap.json');
  const bootstrap = adsBootstrap({
    node: { id: proxy.id, cluster: `${proxy.name}.${proxy.namespace}`, metadata: proxy.metadata },
    xds: server.ports.get('plaintext') ?? 0,
    sdsSocket: join(directory, 'sds.sock'),
  });
  writeFileSync(file, JSON.stringify(bootstrap), { mode: 0o600 });
  const child = spawn(
    envoy,
    ['-c', file, '--disable-hot-restart', '--concurrency', '1', '--log-level', 'error'],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.on('data', (chunk) => {
    said = (said + chunk).slice(-4_000);
  });
  const ended = once(child, 'exit').catch((error: Error) => {
    said = error.message;
  });
  try {
    await untilAnswered(
      ledger,
      () => child.exitCode === null && child.pid !== undefined,
      () => said.trim(),
    );
    return (await ledger.waitFor(1, { timeoutMs: 0 })).rejected.slice();
  } finally {
    child.kill('SIGKILL');
    await ended;
    await server.stop(0);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function untilAnswered(ledger: Ledger, runs: () => boolean, said: () => string): Promise<void> {
  const start = performance.now();
  const over = (ms: number) => performance.now() - start > ms;
  while (ledger.snapshot().length === 0) {
    if (!runs()) throw new CodedError('EnvoyUnusable', `Envoy ended at once: ${said()}`);
    if (over(connectMs))
      throw new CodedError('EnvoyUnusable', `Envoy did not connect within ${connectMs} ms: ${said()}`);
    await sleep(50);
  }
  for (let before = ''; !over(connectMs + answerMs); ) {
    await ledger.waitFor(1, { timeoutMs: answerMs });
    const now = JSON.stringify(
      ledger.snapshot().map(({ types }) => types.map(({ typeUrl, state, sent }) => [typeUrl, state, sent])),
    );
    if (now === before) return;
    before = now;
    await sleep(settledMs);
  }
}

function fixedSource(resources: Resources): ResourceSource {
  const none: ReadonlyMap<string, Resource> = new Map();
  return {
    revision: 1,
    connect: () => undefined,
    disconnect: () => undefined,
    resources: (_id, typeUrl) => resources.get(typeUrl) ?? none,
    onPush: () => () => undefined,
  };
}

function onLoopback(resources: Resources): Resources {
  const listeners = [...(resources.get(typeUrls.listener) ?? [])].map(
    ([key, resource]): [string, Resource] => {
      const listener = fromBinary(ListenerSchema, resource.bytes);
      const old = listener.address?.address;
      const socketAddress = {
        address: '127.0.0.1',
        portSpecifier: { case: 'portValue' as const, value: 0 },
        ...(old?.case === 'socketAddress' ? { protocol: old.value.protocol } : {}),
      };
      listener.address = create(AddressSchema, { address: { case: 'socketAddress', value: socketAddress } });
      listener.additionalAddresses = [];
      return [key, { ...resource, bytes: toBinary(ListenerSchema, listener) }];
    },
  );
  return new Map([...resources, [typeUrls.listener, new Map(listeners)]]);
}

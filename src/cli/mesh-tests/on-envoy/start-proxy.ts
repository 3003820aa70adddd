import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAgentLog } from '../../../agent/agent-log.ts';
import { startSdsServer } from '../../../agent/sds-server.ts';
import { adsBootstrap } from '../../../kit/ads-bootstrap.ts';
import { systemClock } from '../../../kit/clock.ts';
import { CodedError, messageOf } from '../../../kit/coded-error.ts';
import { http } from '../../../kit/node-http.ts';
import { type ProcessId, processId, signalProcess } from '../../../kit/process-id.ts';
import type { MeshProxy } from '../../../snapshot/proxy.ts';
import type { KeyPair } from './key-pair.ts';

export interface ProxyOptions {
  /** Aborted: the wait ends, and so does the proxy. */
  readonly signal: AbortSignal;
  /** Absolute path of the binary. */
  readonly envoy: string;
  /** Mode 0700; files of this proxy are `<name>.…` in it. */
  readonly directory: string;
  readonly name: string;
  readonly proxy: MeshProxy;
  /** What it proves its identity with. */
  readonly pair: KeyPair;
  /** PEM. */
  readonly trustedRoots: string;
  readonly xds: { readonly port: number; readonly token: string };
}

export interface RunningProxy {
  stop(): Promise<void>;
}

const startMs = 20_000;
const termMs = 2_000;

/** Starts a stock Envoy for a workload and waits until it serves. Throws `EnvoyNotReady` with what its log says. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { envoy, directory, name, pair, trustedRoots } = options;
  const file = (suffix: string) => join(directory, `${name}.${suffix}`);
  const sds = await startSdsServer(
    file('sds'),
    createAgentLog('error', () => undefined),
  );
  sds.set([
    { name: 'default', certificateChain: pair.certificate, key: pair.key },
    { name: 'ROOTCA', trustedRoots },
  ]);
  await writeFile(file('json'), JSON.stringify(bootstrapOf(options, file('sds'), file('admin'))), {
    mode: 0o600,
  });
  const out = openSync(file('log'), 'a', 0o600);
  const child = spawn(
    envoy,
    [
      ...['-c', file('json'), '--concurrency', '1', '--log-level', 'warning'],
      ...['--base-id', String(randomInt(1, 2 ** 31 - 1)), '--drain-time-s', '1'],
    ],
    { stdio: ['ignore', out, out] },
  );
  closeSync(out);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const id: ProcessId | undefined = child.pid === undefined ? undefined : processId(child.pid);
  const stop = async (): Promise<void> => {
    if (id && child.exitCode === null && child.signalCode === null) {
      signalProcess(id, 'SIGTERM');
      await Promise.race([ended, systemClock.sleep(termMs, { unref: true })]);
      signalProcess(id, 'SIGKILL');
      await ended;
    }
    await sds.close();
  };
  const until = performance.now() + startMs;
  while ((await readyStatus(file('admin'))) !== 200) {
    const gone =
      options.signal.aborted || id === undefined || child.exitCode !== null || child.signalCode !== null;
    if (!gone && performance.now() < until) {
      await systemClock.sleep(50);
      continue;
    }
    const log = await readFile(file('log'), 'utf8').catch((error) => messageOf(error));
    await stop();
    throw new CodedError(
      'EnvoyNotReady',
      `the Envoy of ${options.proxy.namespace}/${options.proxy.name} ${gone ? 'ended' : `is not ready after ${startMs / 1000} s`}: ${log.trim().split('\n').slice(-5).join('\n')}`,
    );
  }
  return { stop };
}

/** Of Envoy's `/ready`; 0 where nobody answers. */
function readyStatus(socketPath: string): Promise<number> {
  return new Promise((resolve) => {
    const sent = http.request({ socketPath, path: '/ready', timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(0));
    sent.end();
  });
}

function bootstrapOf({ proxy, xds }: ProxyOptions, sdsSocket: string, adminSocket: string): object {
  const { region, zone, subZone } = proxy.locality;
  return adsBootstrap({
    node: {
      id: proxy.id,
      cluster: proxy.name,
      locality: { region, zone, sub_zone: subZone },
      metadata: proxy.metadata,
    },
    xds: xds.port,
    token: xds.token,
    sdsSocket,
    adminSocket,
  });
}

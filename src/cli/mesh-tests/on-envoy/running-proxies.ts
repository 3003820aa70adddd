import type { EnvoyBinary } from '../../../agent/envoy-binary.ts';
import type { CertificateAuthority } from '../../../ca/authority.ts';
import { CodedError } from '../../../kit/coded-error.ts';
import { pooled } from '../../../kit/pooled.ts';
import type { MeshProxy } from '../../../snapshot/proxy.ts';
import { issuePair } from './key-pair.ts';
import { type RunningProxy, startProxy } from './start-proxy.ts';

/** A workload whose proxy runs, and the SPIFFE URI that is its own. */
export interface Beside {
  /** `namespace/name`. */
  readonly key: string;
  readonly proxy: MeshProxy;
  readonly identity: string;
}

export interface RunningOptions {
  readonly signal: AbortSignal;
  readonly envoy: EnvoyBinary;
  readonly directory: string;
  readonly authority: CertificateAuthority;
  readonly xds: { readonly port: number; readonly token: string };
  readonly log: (line: string) => void;
}

export interface RunningProxies {
  /** Has a workload's proxy prove this identity: it is started anew, as connections that stand were made with another certificate. */
  become(key: string, identity: string): Promise<void>;
}

const startsAtOnce = 4;

/** Starts all. `stops` gets what ends them, whatever happens. Throws what `startProxy` throws, or `Interrupted`. */
export async function startRunningProxies(
  all: readonly Beside[],
  options: RunningOptions,
  stops: (() => Promise<unknown>)[],
): Promise<RunningProxies> {
  const { signal, envoy, directory, authority, xds, log } = options;
  const running = new Map<string, { readonly identity: string; readonly stop: () => Promise<void> }>();
  let started = 0;
  const start = async ({ key, proxy }: Beside, identity: string): Promise<void> => {
    const one: RunningProxy = await startProxy({
      signal,
      envoy: envoy.path,
      directory,
      name: String(started++),
      proxy,
      pair: await issuePair(authority, identity),
      trustedRoots: authority.root,
      xds,
    });
    running.set(key, { identity, stop: () => one.stop() });
  };
  stops.push(async () => {
    await Promise.all([...running.values()].map(({ stop }) => stop()));
  });
  log(`Starting ${all.length} of Envoy ${envoy.version}`);
  const failures: unknown[] = [];
  await pooled(all, startsAtOnce, async (one) => {
    if (signal.aborted || failures.length > 0) return;
    await start(one, one.identity).catch((error) => void failures.push(error));
  });
  // Thrown only now: all that were started are known, and are ended.
  if (signal.aborted) throw new CodedError('Interrupted', 'interrupted: all Envoys of the test are ended');
  if (failures.length > 0) throw failures[0];
  return {
    async become(key, identity) {
      const now = running.get(key);
      const own = all.find((one) => one.key === key);
      if (!now || !own || now.identity === identity) return;
      await now.stop();
      running.delete(key);
      await start(own, identity);
    },
  };
}

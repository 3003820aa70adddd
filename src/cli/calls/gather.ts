import { setTimeout as sleep } from 'node:timers/promises';
import type { CallRecord } from '../../observe/call-record.ts';
import { err } from '../output/style.ts';
import type { MeshProxies } from '../proxy/mesh-proxies.ts';
import { flushMs, whileObserving } from './observe-proxies.ts';

export interface GatherOptions {
  /** Calls that began earlier are passed over, ms since the epoch. */
  readonly since: number;
  /** Record all calls for so long first; 0: take what there is. */
  readonly observeMs: number;
  /** Percent of the calls while observing. */
  readonly sample?: number;
}

/** What the proxies of a mesh recorded. */
export async function gatherRecords(
  proxies: MeshProxies,
  { since, observeMs, sample = 100 }: GatherOptions,
): Promise<CallRecord[]> {
  if (observeMs > 0) {
    process.stderr.write(
      err.dim(`Observing for ${Math.round(observeMs / 1_000)} s; use the mesh meanwhile.\n`),
    );
    const ending = new AbortController();
    const end = () => ending.abort();
    process.once('SIGINT', end);
    try {
      await whileObserving(proxies, sample, async () => {
        await sleep(observeMs, undefined, { signal: ending.signal }).catch(() => {});
        await sleep(flushMs);
      });
    } finally {
      process.removeListener('SIGINT', end);
    }
  }
  return (await proxies.newCalls()).filter(({ start }) => start >= since);
}

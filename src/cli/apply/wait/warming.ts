import { existsSync } from 'node:fs';
import { socketPaths } from '../../../agent/socket-paths.ts';
import { pooled } from '../../../kit/pooled.ts';
import { askEnvoy } from '../../proxy/envoy-admin-client.ts';
import { proxyName } from '../../proxy/proxy-name.ts';
import type { StatePaths } from '../../state/state-directory.ts';

/** A proxy that has acknowledged something which is not in force yet. */
export interface WarmingProxy {
  readonly proxy: string;
  readonly listeners: number;
  readonly clusters: number;
}

export interface WarmingCheck {
  readonly warming: readonly WarmingProxy[];
  /** Proxies whose Envoy could not be asked: it runs elsewhere, or does not answer. */
  readonly unasked: readonly string[];
  /** Proxies with connections that are still served by what a listener was before. */
  readonly draining: readonly string[];
}

const filter =
  '^(listener_manager\\.total_(listeners_warming|listeners_draining|filter_chains_draining)|cluster_manager\\.warming_clusters)$';
/** Envoys asked at a time. */
const inFlight = 8;
const timeoutMs = 3_000;

/**
 * Asks the Envoys of this machine what they still warm. Envoy acknowledges a listener before it serves: until its route tables and
 * secrets have come the old one answers. Clusters are acknowledged when they are warm.
 */
export async function findWarming(
  paths: StatePaths | undefined,
  proxyIds: readonly string[],
): Promise<WarmingCheck> {
  const warming: WarmingProxy[] = [];
  const unasked: string[] = [];
  const draining: string[] = [];
  await pooled(proxyIds, inFlight, async (proxy) => {
    const [workload = ''] = proxyName(proxy).split('.');
    const socket = paths && socketPaths(paths.workload(workload)).admin;
    const counts = socket && existsSync(socket) ? await askCounts(socket) : undefined;
    if (!counts) {
      unasked.push(proxy);
      return;
    }
    const { listeners, clusters } = counts;
    if (listeners + clusters > 0) warming.push({ proxy, listeners, clusters });
    if (counts.draining > 0) draining.push(proxy);
  });
  return { warming, unasked, draining: draining.sort() };
}

interface Counts {
  readonly listeners: number;
  readonly clusters: number;
  readonly draining: number;
}

async function askCounts(socket: string): Promise<Counts | undefined> {
  try {
    const text = await askEnvoy(socket, `/stats?filter=${encodeURIComponent(filter)}`, timeoutMs);
    const read = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    return {
      listeners: read('listener_manager\\.total_listeners_warming'),
      clusters: read('cluster_manager\\.warming_clusters'),
      draining:
        read('listener_manager\\.total_listeners_draining') +
        read('listener_manager\\.total_filter_chains_draining'),
    };
  } catch {
    return undefined;
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliveryReport } from '../../../control-plane/delivery/delivery-report.ts';
import type { ApiClient } from '../../api/api-client.ts';
import type { StatePaths } from '../../state/state-directory.ts';
import { findWarming, type WarmingCheck } from './warming.ts';

/** resourceVersions that a command wrote: the first and the last. */
export interface WrittenChange {
  readonly first: number;
  readonly last: number;
}

export interface DeliveryState {
  readonly report: DeliveryReport;
  /** What the Envoys of this machine said once they had acknowledged everything. */
  readonly warming: WarmingCheck;
  /** Everybody has answered, and nothing warms. */
  readonly done: boolean;
}

export interface FollowOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Where the Envoys are, if on this machine. */
  readonly mesh: StatePaths | undefined;
  readonly onProgress?: (state: DeliveryState) => void;
  /** Ends the wait early. */
  readonly enough?: (state: DeliveryState) => boolean;
}

/** How long one question may wait at the server, ms. */
const pollMs = 1_000;
/** Between two looks at what warms, ms. */
const warmingPollMs = 50;

const unwarmed: WarmingCheck = { warming: [], unasked: [], draining: [] };

/** Waits until every proxy that a change concerns has acknowledged it and has nothing left to warm, or the time is over. */
export async function followDelivery(
  client: ApiClient,
  change: WrittenChange,
  options: FollowOptions,
): Promise<DeliveryState> {
  const until = performance.now() + options.timeoutMs;
  for (;;) {
    const left = Math.max(0, until - performance.now());
    const query = new URLSearchParams({
      first: String(change.first),
      last: String(change.last),
      timeout: String(Math.round(Math.min(pollMs, left))),
    });
    const report = await client.get<DeliveryReport>(`/debug/delivery?${query}`, { signal: options.signal });
    const warming = report.done ? await findWarming(options.mesh, report.answered) : unwarmed;
    const state = { report, warming, done: report.done && warming.warming.length === 0 };
    options.onProgress?.(state);
    if (state.done || options.enough?.(state) || performance.now() >= until || options.signal.aborted)
      return state;
    if (report.done) await sleep(warmingPollMs);
  }
}

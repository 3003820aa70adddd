import type { ConfigObject } from '../../../config/object.ts';
import type { ApiAccess } from '../../../kit/kubeconfig.ts';
import type { ApiClient } from '../../api/api-client.ts';
import { type ExitCode, exitCodes } from '../../exit-codes.ts';
import { canaryCodes, endCanary, sayBack, tryOnSome } from './canary.ts';
import { coverageOf, ErrorMeter } from './error-rate.ts';
import { localMeshOf } from './local-mesh.ts';
import { baselineRate } from './observe-errors.ts';
import { failuresNow } from './wait-for-change.ts';

export interface RemovalOptions {
  readonly namespace: string;
  /** Shares of the proxies that are without them first, ascending, 0 to 1. */
  readonly shares: readonly number[];
  readonly timeoutMs: number;
  readonly errors: { readonly maxRate: number; readonly observeMs: number } | undefined;
}

export type TriedRemoval =
  | { readonly ok: true; end(): Promise<void> }
  | { readonly ok: false; readonly code: ExitCode };

/** Has some proxies do without objects before they are deleted. Nothing is deleted where that does not go well. */
export async function tryRemoval(
  { client, access }: { readonly client: ApiClient; readonly access: ApiAccess },
  removed: readonly ConfigObject[],
  { namespace, shares, timeoutMs, errors }: RemovalOptions,
): Promise<TriedRemoval> {
  const mesh = localMeshOf(access);
  const covers = coverageOf(
    removed.map((object) => ({ object })),
    namespace,
  );
  const meter = await ErrorMeter.forCare(mesh, { errors, canary: shares }, covers);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  try {
    const { signal } = interrupted;
    const baseline = errors && meter ? await baselineRate(meter, signal) : undefined;
    if (signal.aborted) return { ok: false, code: exitCodes.interrupted };
    const wait = { timeoutMs, signal, mesh, namespace, oldFailures: await failuresNow(client) };
    const tried = { objects: [], removed, sources: [] };
    const { verdict, id } = await tryOnSome(client, tried, { ...wait, shares, errors, meter, baseline });
    if (verdict === 'passed' || verdict === 'none') return { ok: true, end: () => endCanary(client, id) };
    sayBack('deleted');
    return { ok: false, code: canaryCodes[verdict] };
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

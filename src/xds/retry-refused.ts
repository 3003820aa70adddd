import { type BackoffOptions, backoffDelay } from '../kit/retry.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { mapOf, type StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';

/**
 * Notes that refused secrets are to be sent once more: one may name files that the client's machine did not have, and Envoy watches
 * only what it could read. Returns whether there is something to send.
 */
export function retryRefused(stream: StreamState, watch: Watch, pauses: BackoffOptions): boolean {
  if (watch.typeUrl !== typeUrls.secret) return false;
  if (watch.rejected.size === 0) {
    watch.nextRetry = undefined;
    return false;
  }
  const { now } = stream;
  watch.nextRetry ??= { attempt: 0, at: now + backoffDelay(0, pauses) };
  if (now < watch.nextRetry.at || watch.inFlight || watch.trials.length > 0) return false;
  const attempt = watch.nextRetry.attempt + 1;
  watch.nextRetry = { attempt, at: now + backoffDelay(attempt, pauses) };
  const map = mapOf(stream, watch.typeUrl);
  for (const [name, { version }] of watch.rejected) {
    if (map.get(name)?.version !== version) continue;
    watch.retried.add(name);
    watch.forced.add(name);
  }
  if (watch.forced.size === 0) return false;
  watch.oldest ??= stream.views.revision;
  return true;
}

import type { LedgerStream } from './ledger.ts';
import type { Pushable } from './push-queue.ts';
import type { StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';

/** A stream, as those see it who take its requests and make its responses. */
export interface StreamHandle extends StreamState, Pushable, LedgerStream {
  readonly isClosed: boolean;
  /** The watches in the order of delivery. */
  readonly order: readonly Watch[];
  addWatch(watch: Watch): void;
  /** An error ends this stream, never another's: the client comes back and starts anew. */
  guard(work: () => void): void;
}

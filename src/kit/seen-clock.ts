/** The longest step, in ms: a little more than what a busy event loop is late by. */
const longestStepMs = 50;

/**
 * Time as this process saw it, in ms: a pause in which it could do nothing counts as one step, however long it lasted. For waiting for
 * others who share its machine: what they had no chance to send in the pause is still to come. Whoever waits by it must ask at least
 * every `longestStepMs`, else their own sleep counts as a pause.
 */
export function seenClock(monotonic: () => number = () => performance.now()): () => number {
  let at = monotonic();
  let seen = 0;
  return () => {
    const now = monotonic();
    seen += Math.min(now - at, longestStepMs);
    at = now;
    return seen;
  };
}

/**
 * Node flags for an agent: measured to take a fifth off its anonymous memory (22 MB after hundreds of probes and scrapes, 28 without).
 * A young generation of 1 MB keeps bursts of scrapes from growing the heap for good; the agent has no work for more V8 threads.
 */
export const agentNodeFlags: readonly string[] = [
  '--max-semi-space-size=1',
  '--v8-pool-size=1',
  '--optimize-for-size',
];

/** Environment for the same reason: one arena of glibc's malloc instead of one per thread. */
export const agentEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };

/** Exit codes of an agent. */
export const agentExit = {
  /** Ended as asked. */
  stopped: 0,
  failed: 1,
  badConfig: 2,
  /** Its certificate has ended and its token is spent: mint a token, start it again. Envoy runs on. */
  needsJoinToken: 3,
} as const;

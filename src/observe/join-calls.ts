import type { CallRecord } from './call-record.ts';

/** One call that failed: what the proxies on its way recorded, outermost first. The last one is nearest to the cause. */
export interface FailedCall {
  readonly records: readonly CallRecord[];
  /** The call behind it is known by its time alone: the application sent nothing on by which its calls could be told apart. */
  readonly assumed: boolean;
}

/** How far the clocks and the moments of two proxies may be apart for one call, in ms. */
const slackMs = 1_000;

/**
 * Puts together what several proxies recorded of one call. The two sides of a connection know the same pair of addresses; where a request id was
 * passed on, the calls that the server made in turn are part of it, and where there is none, the only one that it made meanwhile.
 */
export function joinCalls(records: readonly CallRecord[]): FailedCall[] {
  const byPeer = Map.groupBy(
    records.filter(({ side, peer }) => side === 'inbound' && peer !== undefined),
    ({ peer }) => peer,
  );
  const byCaller = Map.groupBy(
    records.filter(({ upstreamLocal, side }) => upstreamLocal !== undefined || side === 'outbound'),
    ({ workload }) => workload,
  );
  const next = new Map<CallRecord, { record: CallRecord; assumed: boolean }>();
  const taken = new Set<CallRecord>();
  const follow = (from: CallRecord, record: CallRecord | undefined, assumed: boolean): void => {
    if (!record || taken.has(record)) return;
    next.set(from, { record, assumed });
    taken.add(record);
  };
  for (const record of records)
    if (record.upstreamLocal !== undefined)
      follow(record, otherSide(record, byPeer.get(record.upstreamLocal) ?? []), false);
  for (const record of records) {
    if (record.side !== 'inbound' || next.has(record) || !answeredByApplication(record)) continue;
    const made = (byCaller.get(record.workload) ?? []).filter(
      (call) => call.side === 'outbound' && isDuring(call, record),
    );
    const sameId = made.find(({ requestId }) => requestId !== undefined && requestId === record.requestId);
    if (sameId) follow(record, sameId, false);
    else if (made.length === 1) follow(record, made[0], true);
  }
  return records
    .filter((record) => !taken.has(record))
    .map((first) => {
      const chain = [first];
      let assumed = false;
      for (let at = next.get(first); at && !chain.includes(at.record); at = next.get(at.record)) {
        chain.push(at.record);
        assumed ||= at.assumed;
      }
      return { records: chain, assumed };
    });
}

/** An application's own answer, which its proxy passes on. */
export function answeredByApplication({ side, details, upstreamCluster = '' }: CallRecord): boolean {
  return side === 'inbound' && details === 'via_upstream' && upstreamCluster.startsWith('inbound|');
}

function otherSide(client: CallRecord, servers: readonly CallRecord[]): CallRecord | undefined {
  const fitting = servers.filter(
    (server) =>
      server.type === client.type &&
      server.method === client.method &&
      Math.abs(server.start - client.start) <= slackMs + client.durationMs &&
      (server.requestId === undefined ||
        client.requestId === undefined ||
        server.requestId === client.requestId),
  );
  const distance = (server: CallRecord) => Math.abs(server.start - client.start);
  return fitting.sort((a, b) => distance(a) - distance(b))[0];
}

function isDuring(inner: CallRecord, outer: CallRecord): boolean {
  return inner.start >= outer.start && inner.start + inner.durationMs <= outer.start + outer.durationMs + 5;
}

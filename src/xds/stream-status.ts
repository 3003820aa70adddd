import { type Origin, originId } from '../config/origin.ts';
import type { HeldResources, Lag, RejectedEvent, SyncState, TypeStatus } from './ledger.ts';
import type { RejectedResource, Watch } from './watch.ts';

export function statusOf(watch: Watch, hasWork: boolean): TypeStatus {
  return {
    typeUrl: watch.typeUrl,
    state: stateOf(watch, hasWork),
    sent: watch.lastSent,
    acknowledged: watch.lastAcknowledged,
    rejected: [...watch.rejected.values()],
    held: watch.held.size,
  };
}

function stateOf(watch: Watch, hasWork: boolean): SyncState {
  if (watch.rejected.size > 0) return 'NACKED';
  if (watch.inFlight || hasWork) return 'STALE';
  return watch.lastSent === undefined && watch.held.size === 0 ? 'NOT SENT' : 'SYNCED';
}

/** What keeps a type from having answered for a revision; undefined: nothing. `blocked`: the client does not read. */
export function lagOf(
  watch: Watch,
  revision: number,
  stream: { readonly hasWork: boolean; readonly blocked: boolean; readonly now: number },
): Lag | undefined {
  const { inFlight, lastAcknowledged: acknowledged, typeUrl } = watch;
  // Of a client that has just come, everything is of the present revision, so that its age says nothing.
  const isNew = acknowledged === undefined && (inFlight !== undefined || stream.hasWork);
  if (!isNew && watch.isSynced(revision)) return undefined;
  const sentAt = inFlight && Math.round(Date.now() - (stream.now - inFlight.sentAt));
  const reason = stream.blocked
    ? 'unread'
    : inFlight
      ? 'unanswered'
      : watch.gated
        ? 'waits for clusters'
        : 'unsent';
  return { typeUrl, reason, sentAt, acknowledged };
}

export function heldOf(watch: Watch): HeldResources {
  return {
    typeUrl: watch.typeUrl,
    resources: watch.held.list().map(({ name, version }) => ({ name, version })),
  };
}

/** One event for the resources that one message was about. */
export function groupRejections(
  proxyId: string,
  typeUrl: string,
  rejected: readonly RejectedResource[],
): RejectedEvent[] {
  const groups = Map.groupBy(rejected, (resource) => resource.message);
  return [...groups].map(([message, resources]) => ({
    proxyId,
    typeUrl,
    resources: resources.map((resource) => resource.name),
    message,
    origins: uniqueOrigins(resources.flatMap((resource) => resource.origins)),
    details: resources,
  }));
}

function uniqueOrigins(origins: readonly Origin[]): Origin[] {
  return [...new Map(origins.map((origin) => [originId(origin), origin])).values()];
}

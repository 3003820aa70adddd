import { StoreError } from '../store.ts';
import { storeEvent } from '../stored-value.ts';
import type { Commit } from '../watch-hub.ts';
import type { DecodedObjects } from './decoded-objects.ts';
import type { EtcdKeys } from './keys.ts';
import type { WatchEvent, WatchResponse } from './wire.ts';

/** Splits a watch's answer into commits. etcd never spreads a revision over two answers (unless asked for fragments). */
export function* readCommits(
  response: WatchResponse,
  keys: EtcdKeys,
  objects: DecodedObjects,
): Generator<Commit> {
  let commit: Commit | undefined;
  for (const event of response.events) {
    const revision = event.kv.modRevision;
    if (commit && commit.revision !== revision) {
      yield commit;
      commit = undefined;
    }
    commit ??= { revision, events: [] };
    const ref = keys.ref(event.kv.key);
    if (ref) commit.events.push(readEvent(event, ref, objects));
  }
  if (commit) yield commit;
}

function readEvent(
  { deleted, kv, previous }: WatchEvent,
  ref: NonNullable<ReturnType<EtcdKeys['ref']>>,
  objects: DecodedObjects,
) {
  const created = kv.createRevision === kv.modRevision;
  if (!previous && (deleted || !created)) {
    throw new StoreError(
      'RevisionCompacted',
      `the state before revision ${kv.modRevision} is forgotten; list again from the newest state`,
    );
  }
  // In this order: what is remembered afterwards is the newer one.
  const before = previous && objects.decode(previous);
  return storeEvent(ref, kv.modRevision, before, deleted ? undefined : objects.decode(kv));
}

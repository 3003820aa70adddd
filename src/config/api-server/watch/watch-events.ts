import { resourceName } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import type { StoreEvent, WatchOptions } from '../../store/store.ts';
import { type RequestContext, storageVersion, type Target } from '../context.ts';
import { type Selection, selects } from '../handlers/read-list.ts';
import { inVersion } from '../objects/stored.ts';

export interface WatchedEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: ConfigObject;
}

/**
 * What a store event means to a watcher with a selector: an object that starts to match is ADDED, one that stops is DELETED,
 * in its last matching state and with the resourceVersion of the change.
 */
export function selectEvent(
  context: RequestContext,
  target: Target,
  selection: Selection,
  event: StoreEvent,
): WatchedEvent | undefined {
  const object = inVersion(context, event.object, target);
  const previous = event.previous ? inVersion(context, event.previous, target) : undefined;
  if (event.type === 'deleted')
    return selects(selection, previous ?? object) ? { type: 'DELETED', object } : undefined;
  const now = selects(selection, object);
  const before = event.type === 'modified' && previous !== undefined && selects(selection, previous);
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object };
  if (!before || !previous) return undefined;
  return {
    type: 'DELETED',
    object: { ...previous, metadata: { ...previous.metadata, ...revisionOf(object) } },
  };
}

function revisionOf(object: ConfigObject): { resourceVersion?: string } {
  const { resourceVersion } = object.metadata;
  return resourceVersion === undefined ? {} : { resourceVersion };
}

export function watchOptions(
  context: RequestContext,
  target: Target,
  selection: Selection,
  from: number,
  signal: AbortSignal,
): WatchOptions {
  void storageVersion(target.kind);
  return {
    resource: resourceName(target.kind),
    ...(selection.namespace === undefined ? {} : { namespace: selection.namespace }),
    from,
    signal,
    maxQueued: context.limits.watchQueue,
  };
}

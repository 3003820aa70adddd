import type { ConfigObject } from '../object.ts';
import type {
  ObjectRef,
  Store,
  StoreErrorCode,
  StoreEvent,
  WatchItem,
  WatchOptions,
  WriteOp,
} from '../store/store.ts';

/** How the contract tests get at an implementation. Each test works on an empty store. */
export interface StoreUnderTest {
  store: Store;
  /** Another handle on the same data, after the first was closed; absent where nothing outlives the handle. */
  reopen?: () => Promise<Store>;
  dispose: () => Promise<void>;
}

export function ref(name: string, namespace = 'default', resource = 'services'): ObjectRef {
  return { resource, namespace, name };
}

export function put(target: ObjectRef, value: unknown = 1, expected?: number): WriteOp {
  const object: ConfigObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: target.name, ...(target.namespace === '' ? {} : { namespace: target.namespace }) },
    spec: { value },
  };
  return { type: 'put', ref: target, object, ...(expected === undefined ? {} : { expect: expected }) };
}

export function remove(target: ObjectRef, expected?: number): WriteOp {
  return { type: 'delete', ref: target, ...(expected === undefined ? {} : { expect: expected }) };
}

/** Commits and returns the revision; fails the test on a conflict. */
export async function write(store: Store, ...ops: WriteOp[]): Promise<number> {
  const result = await store.commit(ops);
  if (!result.ok) throw new Error(`unexpected conflict at operation ${result.conflict.index}`);
  return result.revision;
}

export async function codeOf(work: Promise<unknown>): Promise<StoreErrorCode | 'no error'> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return (error as { code: StoreErrorCode }).code;
  }
}

export function valueIn(object: ConfigObject | undefined): unknown {
  return (object?.spec as { value: unknown } | undefined)?.value;
}

export function short(event: StoreEvent): string {
  const previous = event.previous === undefined ? '' : ` (was ${valueIn(event.previous)})`;
  return `${event.type} ${event.ref.resource}/${event.ref.namespace}/${event.ref.name}=${valueIn(event.object)}${previous}`;
}

/** Reads a watch until `count` events came (or, with 0, until it has caught up). */
export async function read(
  store: Store,
  options: Omit<WatchOptions, 'signal'>,
  count: number,
): Promise<Extract<WatchItem, { type: 'events' }>[]> {
  const abort = new AbortController();
  const items: Extract<WatchItem, { type: 'events' }>[] = [];
  let events = 0;
  for await (const item of store.watch({ ...options, signal: abort.signal })) {
    if (item.type === 'events') {
      items.push(item);
      events += item.events.length;
    }
    if (count === 0 ? item.type === 'progress' : events >= count) break;
  }
  abort.abort();
  return items;
}

import { expect, test, vi } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import type { ApiClient } from '../api/api-client.ts';
import { type Objects, ObjectsWatch } from './objects-watch.ts';

const object = (name: string, value: number, resourceVersion = '1'): ConfigObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', resourceVersion },
  data: { value },
});

test('tells what there is, then changes of what matters alone, and lists again when a watch ends', async () => {
  const events: { type: string; object: ConfigObject }[] = [];
  let wake = Promise.withResolvers<void>();
  const send = (type: string, sent: ConfigObject) => {
    events.push({ type, object: sent });
    wake.resolve();
  };
  const watched: string[] = [];
  const lists = [[object('a', 1), object('ignored', 1)], [object('c', 9)]];
  const client = {
    get: async () => ({ metadata: { resourceVersion: '7' }, items: lists.shift() ?? [] }),
    async *stream(path: string, signal: AbortSignal) {
      watched.push(path);
      signal.addEventListener('abort', () => wake.resolve());
      while (!signal.aborted) {
        for (const event of events.splice(0)) yield event;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  } as unknown as ApiClient;
  const told: string[] = [];
  const abort = new AbortController();
  const watch = new ObjectsWatch({
    what: 'things',
    paths: { things: '/things' },
    client: () => client,
    keep: (_, { metadata, ...rest }) =>
      metadata.name === 'ignored' ? undefined : { ...rest, metadata: { name: metadata.name } },
    onChange: async ({ things }: Objects<'things'>) => {
      told.push(
        things.map(({ metadata, data }) => `${metadata.name}=${(data as { value: number }).value}`).join(),
      );
    },
    log: () => {},
  });
  const running = watch.run(abort.signal);
  const next = async (expected: string[]) => vi.waitFor(() => expect(told).toEqual(expected), 30_000);
  await next(['a=1']);
  // Another version of the same, and one that does not matter, are no news.
  send('MODIFIED', object('a', 1, '8'));
  send('MODIFIED', object('ignored', 2));
  send('ADDED', object('b', 2));
  await next(['a=1', 'a=1,b=2']);
  send('DELETED', object('a', 1));
  await next(['a=1', 'a=1,b=2', 'b=2']);
  send('ERROR', object('gone', 0));
  await next(['a=1', 'a=1,b=2', 'b=2', 'c=9']);
  abort.abort();
  await running;
  expect(watched.slice(0, 2)).toEqual(Array(2).fill('/things?watch=true&resourceVersion=7'));
});

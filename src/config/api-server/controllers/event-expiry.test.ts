import { expect, test } from 'vitest';
import { openEmbeddedStore } from '../../store/embedded/embedded-store.ts';
import { expireEvents } from './event-expiry.ts';

test('events go an hour after they were last seen', async () => {
  const store = openEmbeddedStore({ path: ':memory:' });
  const now = Date.parse('2026-01-01T12:00:00Z');
  const put = (name: string, fields: Record<string, unknown>) =>
    store.commit([
      {
        type: 'put',
        ref: { resource: 'events', namespace: 'default', name },
        object: { apiVersion: 'v1', kind: 'Event', metadata: { name, namespace: 'default' }, ...fields },
      },
    ]);
  await put('old', { lastTimestamp: '2026-01-01T10:59:59Z', eventTime: '2026-01-01T10:00:00.000000Z' });
  await put('new', { lastTimestamp: '2026-01-01T11:30:00Z' });
  await put('again', {
    eventTime: '2026-01-01T09:00:00Z',
    series: { lastObservedTime: '2026-01-01T11:59:00Z' },
  });
  await put('timeless', {});
  expect(await expireEvents(store, now, 3_600_000)).toBe(1);
  const left = (await store.list({ resource: 'events' })).items.map((item) => item.ref.name);
  expect(left.sort()).toEqual(['again', 'new', 'timeless']);
  await store.close();
});

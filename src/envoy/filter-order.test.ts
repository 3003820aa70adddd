import { expect, test } from 'vitest';
import { httpFilterOrder, inFilterOrder } from './filter-order.ts';

test('each filter has one place and a reason, the router the last', () => {
  expect(new Set(httpFilterOrder.map(({ name }) => name)).size).toBe(httpFilterOrder.length);
  for (const { reason } of httpFilterOrder) expect(reason.length).toBeGreaterThan(20);
  expect(httpFilterOrder.at(-1)?.name).toBe('envoy.filters.http.router');
});

test('sorts by the table and refuses what it does not know', () => {
  const names = ['envoy.filters.http.router', 'envoy.filters.http.fault', 'envoy.filters.http.cors'];
  expect(inFilterOrder(names.map((name) => ({ name }))).map(({ name }) => name)).toEqual([
    'envoy.filters.http.cors',
    'envoy.filters.http.fault',
    'envoy.filters.http.router',
  ]);
  expect(() => inFilterOrder([{ name: 'unheard.of' }])).toThrow(/filter-order/);
});

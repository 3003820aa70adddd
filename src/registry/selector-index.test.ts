import { expect, test } from 'vitest';
import { SelectorIndex } from './selector-index.ts';

test('who selects labels is found in their namespace, and follows changes', () => {
  const index = new SelectorIndex();
  index.set('web', 'shop', { app: 'web' });
  index.set('web-v2', 'shop', { version: 'v2', app: 'web' });
  index.set('elsewhere', 'other', { app: 'web' });
  index.set('nobody', 'shop', {});
  index.set('by-hand', 'shop', undefined);
  const selecting = (labels: Record<string, string>) => [...index.selecting('shop', labels)].sort();
  expect(selecting({ app: 'web', version: 'v1' })).toEqual(['web']);
  expect(selecting({ app: 'web', version: 'v2' })).toEqual(['web', 'web-v2']);
  expect(selecting({})).toEqual([]);
  index.set('web', 'shop', { app: 'site' });
  expect(selecting({ app: 'web', version: 'v2' })).toEqual(['web-v2']);
  index.delete('web-v2');
  expect(selecting({ app: 'web', version: 'v2' })).toEqual([]);
});

import { expect, it } from 'vitest';
import type { ConfigObject } from '../config/object.ts';
import { ConfigMerge } from './config-merge.ts';

function change(name: string, spec?: unknown) {
  const object: ConfigObject | undefined =
    spec === undefined
      ? undefined
      : {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: { name, namespace: 'default' },
          spec,
        };
  return {
    group: 'networking.istio.io',
    kind: 'VirtualService',
    key: `default/${name}`,
    ...(object ? { object } : {}),
  };
}

it('keeps the first source in force, shows the conflict, and falls back when the first lets go', () => {
  const merge = new ConfigMerge(['files', 'store']);
  const batch = (spec: unknown) => ({ revision: 1, initial: false, changes: [change('a', spec)] });
  expect(merge.take('store', batch(1))).toHaveLength(1);
  expect(merge.take('files', batch(2))[0]?.object?.spec).toBe(2);
  expect(merge.take('store', batch(3))).toEqual([]);
  expect(merge.conflicts()).toMatchObject([{ key: 'default/a', winner: 'files', loser: 'store' }]);
  expect(merge.take('files', { revision: 2, initial: false, changes: [change('a')] })[0]?.object?.spec).toBe(
    3,
  );
  expect(merge.take('store', { revision: 2, initial: false, changes: [change('a')] })).toEqual([
    { group: 'networking.istio.io', kind: 'VirtualService', key: 'default/a', previous: expect.anything() },
  ]);
  expect([...merge.all()]).toEqual([]);
});

import { expect, test } from 'vitest';
import type { ConfigChange } from '../config/sources/source.ts';
import type { LabelSelector } from '../kit/labels.ts';
import { DiscoveryScope } from './discovery-scope.ts';

const object = (
  kind: string,
  namespace: string,
  name: string,
  labels?: Record<string, string>,
): ConfigChange => ({
  group: '',
  kind,
  key: `${namespace}/${name}`,
  object: { apiVersion: 'v1', kind, metadata: { namespace, name, ...(labels ? { labels } : {}) } },
});
const shown = (changes: readonly ConfigChange[]) =>
  changes.map(({ kind, key, object: held }) => `${held ? '+' : '-'}${kind} ${key}`);

function scopeOf(changes: ConfigChange[], ...selectors: LabelSelector[]) {
  const scope = new DiscoveryScope('istio-system', () => changes);
  scope.take(changes);
  return { scope, first: shown(scope.setSelectors(selectors)) };
}

const mesh = [
  object('Namespace', '', 'in', { team: 'a', env: 'prod' }),
  object('Namespace', '', 'out', { team: 'b' }),
  object('Service', 'in', 'web'),
  object('Service', 'out', 'web'),
  object('Service', 'unknown', 'web'),
  object('Service', 'istio-system', 'root'),
];

test('without selectors everything is in', () => {
  const scope = new DiscoveryScope('istio-system', () => mesh);
  expect(scope.take(mesh)).toEqual(mesh);
});

test.each<[string, LabelSelector]>([
  ['matchLabels', { matchLabels: { team: 'a' } }],
  ['In', { matchExpressions: [{ key: 'team', operator: 'In', values: ['a', 'c'] }] }],
  ['Exists', { matchExpressions: [{ key: 'env', operator: 'Exists' }] }],
  [
    'NotIn and DoesNotExist together',
    {
      matchExpressions: [
        { key: 'team', operator: 'NotIn', values: ['b'] },
        { key: 'team', operator: 'Exists' },
        { key: 'nothing', operator: 'DoesNotExist' },
      ],
    },
  ],
])('what selectors do not select goes, the root namespace stays: %s', (_, selector) => {
  expect(scopeOf(mesh, selector).first).toEqual(['-Service out/web', '-Service unknown/web']);
});

test('a namespace that changes its labels brings or takes all that it holds', () => {
  const { scope } = scopeOf(mesh, { matchLabels: { team: 'a' } });
  expect(shown(scope.take([object('Service', 'out', 'late')]))).toEqual([]);
  expect(shown(scope.take([object('Namespace', '', 'out', { team: 'a' })]))).toEqual([
    '+Namespace /out',
    '+Service out/web',
  ]);
  expect(shown(scope.take([{ group: '', kind: 'Namespace', key: '/out' }]))).toEqual([
    '-Namespace /out',
    '-Service out/web',
  ]);
  expect(shown(scope.setSelectors([]))).toEqual(['+Service out/web', '+Service unknown/web']);
});

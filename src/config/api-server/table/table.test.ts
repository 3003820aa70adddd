import { expect, test } from 'vitest';
import { createBuiltInRegistry } from '../../kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../object.ts';
import { duration } from './age.ts';
import { compileJsonPath } from './json-path.ts';
import { toTable } from './table.ts';

test.each([
  ['.spec.hosts', [['a', 'b']]],
  ['{.spec.hosts[0]}', ['a']],
  ['.spec.hosts[-1]', ['b']],
  ['.spec.hosts[0:1]', ['a']],
  ['.spec.ports[*].port', [80, 443]],
  [".metadata.labels['app\\.kubernetes\\.io/name']", ['x']],
  ['.metadata.labels.app\\.kubernetes\\.io/name', ['x']],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  ['.status.conditions[?(@.type!="Ready")].status', ['False']],
  ['.spec.ports[?(@.port>100)].name', ['https']],
  ['.spec.ports[?(@.name)].port', [80, 443]],
  ['.spec..port', [80, 443]],
  ['.nothing.there', []],
  ['spec.hosts[0]', ['a']],
  ['.__proto__', []],
  ['.constructor', []],
])('%s', (path, expected) => {
  const object = {
    metadata: { labels: { 'app.kubernetes.io/name': 'x' } },
    spec: {
      hosts: ['a', 'b'],
      ports: [
        { port: 80, name: 'http' },
        { port: 443, name: 'https' },
      ],
    },
    status: {
      conditions: [
        { type: 'Other', status: 'False' },
        { type: 'Ready', status: 'True' },
      ],
    },
  };
  expect(compileJsonPath(path)?.(object)).toEqual(expected);
});

test.each(['.a[', '.a[?(', '.a[x]', '.a[?(@.b==)]', '.a b'])('not a path: %s', (path) => {
  expect(compileJsonPath(path)).toBeUndefined();
});

test('ages in the words of kubectl', () => {
  const minute = 60_000;
  const hour = 60 * minute;
  const cases: [number, string][] = [
    [0, '0s'],
    [119_000, '119s'],
    [2 * minute, '2m'],
    [9 * minute + 5000, '9m5s'],
    [10 * minute + 5000, '10m'],
    [179 * minute, '179m'],
    [3 * hour + minute, '3h1m'],
    [47 * hour, '47h'],
    [48 * hour, '2d'],
    [2 * 24 * hour + hour, '2d1h'],
    [30 * 24 * hour, '30d'],
    [800 * 24 * hour, '2y70d'],
    [-5000, '<invalid>'],
  ];
  for (const [ms, text] of cases) expect(duration(ms)).toBe(text);
});

const registry = createBuiltInRegistry();
const now = Date.parse('2026-01-01T00:10:00Z');

function cells(group: string, kind: string, fields: Record<string, unknown>): unknown[] {
  const found = registry.byKind(group, kind);
  const version = found?.versions[0];
  if (!found || !version) throw new Error(`no ${kind}`);
  const object = {
    apiVersion: 'v1',
    kind,
    metadata: { name: 'x', creationTimestamp: '2026-01-01T00:00:00Z' },
    ...fields,
  } as ConfigObject;
  const table = toTable({ kind: found, version }, [object], {}, 'None', {
    now,
    definitions: true,
    metaVersion: 'v1',
  }) as { rows: { cells: unknown[] }[] };
  return table.rows[0]?.cells ?? [];
}

test('pods', () => {
  const spec = { containers: [{ name: 'a' }, { name: 'b' }], nodeName: 'n' };
  const running = {
    phase: 'Running',
    podIP: '10.0.0.1',
    containerStatuses: [
      { ready: true, restartCount: 2, lastState: { terminated: { finishedAt: '2026-01-01T00:05:00Z' } } },
    ],
  };
  expect(cells('', 'Pod', { spec, status: running })).toEqual([
    'x',
    '1/2',
    'Running',
    '2 (5m ago)',
    '10m',
    '10.0.0.1',
    'n',
    '<none>',
    '<none>',
  ]);
  const crashing = {
    phase: 'Running',
    containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }],
  };
  expect(cells('', 'Pod', { spec, status: crashing })[2]).toBe('CrashLoopBackOff');
});

test('services, endpoints, ingresses, events and bindings', () => {
  expect(
    cells('', 'Service', {
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.0.0.9',
        ports: [
          { port: 80, nodePort: 30080 },
          { port: 53, protocol: 'UDP' },
        ],
        selector: { b: '2', a: '1' },
      },
    }),
  ).toEqual(['x', 'LoadBalancer', '10.0.0.9', '<pending>', '80:30080/TCP,53/UDP', '10m', 'a=1,b=2']);
  expect(
    cells('', 'Endpoints', {
      subsets: [{ addresses: [{ ip: '1.1.1.1' }, { ip: '1.1.1.2' }], ports: [{ port: 80 }, { port: 81 }] }],
    })[1],
  ).toBe('1.1.1.1:80,1.1.1.1:81,1.1.1.2:80 + 1 more...');
  expect(
    cells('networking.k8s.io', 'Ingress', { spec: { rules: [{ host: 'a.com' }], tls: [{}] } }).slice(1, 5),
  ).toEqual(['<none>', 'a.com', '', '80, 443']);
  expect(
    cells('', 'Event', {
      involvedObject: { kind: 'Pod', name: 'p' },
      reason: 'Started',
      type: 'Normal',
      message: 'ok',
      lastTimestamp: '2026-01-01T00:09:30Z',
    }).slice(0, 4),
  ).toEqual(['30s', 'Normal', 'Started', 'pod/p']);
  expect(
    cells('rbac.authorization.k8s.io', 'RoleBinding', {
      roleRef: { kind: 'Role', name: 'r' },
      subjects: [
        { kind: 'User', name: 'u' },
        { kind: 'ServiceAccount', name: 's', namespace: 'n' },
      ],
    }),
  ).toEqual(['x', 'Role/r', '10m', 'u', '', 'n/s']);
});

test('every kind has a table that an empty object does not break', () => {
  for (const kind of registry.all()) expect(cells(kind.group, kind.kind, {}).length).toBeGreaterThan(0);
});

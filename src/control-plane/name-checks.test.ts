import { afterEach, expect, it } from 'vitest';
import type { ConfigObject, StatusCondition } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { NameChecks } from './name-checks.ts';

const reports: [name: string, condition: Omit<StatusCondition, 'type'> | null][] = [];
const known = new Set<string>();
let checks: NameChecks | undefined;

function open(everyMs: number) {
  reports.length = 0;
  known.clear();
  checks = new NameChecks({
    writer: {
      report: (ref: { name: string }, _type: string, condition: Omit<StatusCondition, 'type'> | null) =>
        reports.push([ref.name, condition]),
    } as never,
    refOf: (key) => ({ resource: 'serviceentries', namespace: 'default', name: key }),
    resolve: async (name) => {
      if (!known.has(name)) throw Object.assign(new Error('no'), { code: 'ENOTFOUND' });
    },
    everyMs,
  });
  return checks;
}
afterEach(() => checks?.close());

const entry = (name: string, spec: Record<string, unknown>, status?: unknown): ConfigChange => ({
  group: 'networking.istio.io',
  kind: 'ServiceEntry',
  key: name,
  object: {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default' },
    spec: { hosts: ['a.test'], ...spec },
    ...(status ? { status } : {}),
  } as ConfigObject,
});

it('says which names cannot be found, and takes it back when they can', async () => {
  open(20).observe([entry('a', { resolution: 'DNS' })]);
  await expect
    .poll(() => reports[0])
    .toMatchObject(['a', { status: 'False', message: /a\.test \(ENOTFOUND\)/ }]);
  known.add('a.test');
  await expect.poll(() => reports.at(-1)).toEqual(['a', null]);
});

it('looks at endpoints instead of hosts, and at names alone', async () => {
  open(10_000).observe([
    entry('fixed', { resolution: 'STATIC' }),
    entry('none', { resolution: 'NONE' }),
    entry('ends', { resolution: 'DNS', endpoints: [{ address: '10.0.0.1' }, { address: 'b.test' }] }),
  ]);
  await expect.poll(() => reports.length).toBe(1);
  expect(reports[0]).toMatchObject(['ends', { message: /address of b\.test \(ENOTFOUND\);/ }]);
});

it('says nothing of what is well, and takes back what an earlier run said', async () => {
  known.add('a.test');
  const opened = open(10_000);
  known.add('a.test');
  opened.observe([
    entry('well', { resolution: 'DNS' }),
    entry('mended', { resolution: 'DNS' }, { conditions: [{ type: 'NamesResolved', status: 'False' }] }),
  ]);
  await expect.poll(() => reports).toEqual([['mended', null]]);
});

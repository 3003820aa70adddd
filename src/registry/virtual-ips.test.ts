import { expect, it } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import type { ServiceEntry } from './schema.ts';
import { VirtualIps } from './virtual-ips.ts';

function entry(name: string, spec: Partial<ServiceEntry['spec']> = {}, more: Partial<ServiceEntry> = {}) {
  const object: ServiceEntry = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default', ...more.metadata },
    spec: { hosts: [`${name}.test`], resolution: 'DNS', ...spec },
    ...(more.status ? { status: more.status } : {}),
  };
  return [`default/${name}`, object] as const;
}

const says = (value: string, host: string) => ({ status: { addresses: [{ value, host }] } });

it('gives each host of an entry an address of each family, wildcards none', () => {
  const ips = new VirtualIps();
  expect(ips.set(new Map([entry('a', { hosts: ['a.test', '*.a.test', 'b.test'] })]))).toEqual(
    new Set(['default/a']),
  );
  const given = ips.of('default/a');
  expect(given.map(({ host }) => host)).toEqual(['a.test', 'a.test', 'b.test', 'b.test']);
  expect(given[0]?.value).toMatch(/^240\.240\.\d+\.\d+$/);
  expect(given[1]?.value).toMatch(/^2001:2::[0-9a-f]+$/);
});

it.each([
  ['resolution NONE', entry('a', { resolution: 'NONE' })],
  ['addresses of its own', entry('a', { addresses: ['10.0.0.1'] })],
  [
    'the label that declines',
    entry(
      'a',
      {},
      { metadata: { name: 'a', labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } } },
    ),
  ],
])('gives none to an entry with %s', (_, change) => {
  const ips = new VirtualIps();
  ips.set(new Map([change]));
  expect(ips.of('default/a')).toEqual([]);
});

it('keeps what the status says, any address of the two ranges', () => {
  const ips = new VirtualIps();
  ips.set(
    new Map([entry('a', {}, says('2001:2::F0F0:1', 'a.test')), entry('b', {}, says('10.0.0.1', 'b.test'))]),
  );
  expect(ips.of('default/a')[1]).toEqual({ value: '2001:2::f0f0:1', host: 'a.test' });
  expect(ips.of('default/b')[0]?.value).toMatch(/^240\.240\./);
});

it('lets the older of two keep an address that both statuses say, and the user’s own win over both', () => {
  const ips = new VirtualIps();
  const at = (year: number, name: string) => ({
    metadata: { name, creationTimestamp: `${year}-01-01T00:00:00Z` },
    ...says('240.240.0.7', `${name}.test`),
  });
  ips.set(new Map([entry('young', {}, at(2021, 'young'))]));
  expect(ips.of('default/young')[0]?.value).toBe('240.240.0.7');
  expect(ips.set(new Map([entry('old', {}, at(2020, 'old'))]))).toEqual(
    new Set(['default/old', 'default/young']),
  );
  expect(ips.of('default/old')[0]?.value).toBe('240.240.0.7');
  expect(ips.of('default/young')[0]?.value).not.toBe('240.240.0.7');
  const moved = ips.set(new Map([entry('mine', { addresses: ['240.240.0.7'] })]));
  expect(moved).toEqual(new Set(['default/old']));
  expect(ips.of('default/old')[0]?.value).not.toBe('240.240.0.7');
});

it('never gives one address twice, moves nothing that was not touched, and comes back the same from its statuses', () => {
  const edit = fc.record({
    name: fc.integer({ min: 0, max: 30 }).map((n) => `e${n}`),
    hosts: fc.integer({ min: 0, max: 3 }),
    // Few numbers, so that statuses contradict each other.
    said: fc.option(fc.integer({ min: 1, max: 6 })),
  });
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 60 }), (edits) => {
      const ips = new VirtualIps();
      const objects = new Map<string, ServiceEntry>();
      for (const { name, hosts, said } of edits) {
        const key = `default/${name}`;
        const before = new Map([...objects.keys()].map((other) => [other, ips.of(other)]));
        const change =
          hosts === 0
            ? ([key, undefined] as const)
            : entry(
                name,
                { hosts: Array.from({ length: hosts }, (_, i) => `${i}.${name}.test`) },
                said === null ? {} : says(`240.240.0.${said}`, `0.${name}.test`),
              );
        const changed = ips.set(new Map([change]));
        if (change[1]) objects.set(key, change[1]);
        else objects.delete(key);
        for (const [other, old] of before) if (!changed.has(other)) expect(ips.of(other)).toEqual(old);
        const all = [...objects.keys()].flatMap((other) => ips.of(other).map(({ value }) => value));
        expect(new Set(all).size).toBe(all.length);
        // Nobody loses an address but to one who says it.
        if (said === null) expect([...changed].every((other) => other === key)).toBe(true);
      }
      const restarted = new VirtualIps();
      restarted.set(
        new Map(
          [...objects].map(([key, object]) => [key, { ...object, status: { addresses: [...ips.of(key)] } }]),
        ),
      );
      for (const key of objects.keys()) expect(restarted.of(key)).toEqual(ips.of(key));
    }),
    { numRuns: 200 },
  );
});

it('has room for 5,000 entries and no collision among them', () => {
  const ips = new VirtualIps();
  ips.set(new Map(Array.from({ length: 5_000 }, (_, n) => entry(`e${n}`))));
  const all = Array.from({ length: 5_000 }, (_, n) => ips.of(`default/e${n}`)).flat();
  expect(new Set(all.map(({ value }) => value)).size).toBe(10_000);
});

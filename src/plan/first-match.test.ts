import { expect, test } from 'vitest';
import { cidrContains, parseCidr, parseIp } from '../kit/ip.ts';
import { Random } from '../snapshot/engine/testing/random.ts';
import { type ConnectionCondition, canonicalRange, mostSpecific } from './first-match.ts';
import { hostCovers } from './hosts.ts';

test('what two conditions have in common gets the value of the first', () => {
  expect(
    mostSpecific([
      [{ source: '10.0.0.0/8' }, 'first'],
      [{ destination: '10.1.0.0/16' }, 'second'],
      [{ destination: '10.1.2.0/24', source: '10.9.0.0/16' }, 'never'],
      [{}, 'rest'],
    ]),
  ).toEqual([
    [{ source: '10.0.0.0/8' }, 'first'],
    [{ destination: '10.1.0.0/16', source: '10.0.0.0/8' }, 'first'],
    [{ destination: '10.1.2.0/24', source: '10.0.0.0/8' }, 'first'],
    [{ destination: '10.1.2.0/24', source: '10.9.0.0/16' }, 'first'],
    [{ destination: '10.1.0.0/16' }, 'second'],
    [{ destination: '10.1.2.0/24' }, 'second'],
    [{}, 'rest'],
  ]);
});

test('ten thousand names take no noticeable time', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => [{ serverName: `h${i}.example.com` }, i] as const);
  expect(mostSpecific(many)).toHaveLength(10_000);
});

test('ranges lose the bits that their length does not cover', () => {
  expect(['10.1.2.3/16', '10.1.2.3', '2001:db8::1/32'].map(canonicalRange)).toEqual([
    '10.1.0.0/16',
    '10.1.2.3/32',
    '2001:db8::/32',
  ]);
});

const ranges = ['', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.2.0.0/16', '10.1.2.3/32'];
const names = ['', 'a.x.com', '*.x.com', '*.com', 'b.com'];
const addresses = ['10.1.2.3', '10.1.2.4', '10.1.9.9', '10.2.0.1', '10.9.0.1', '11.0.0.1'];

function contains(range: string | undefined, address: string): boolean {
  const ip = parseIp(address);
  const cidr = parseCidr(range ?? '0.0.0.0/0');
  return Boolean(ip && cidr && cidrContains(cidr, ip));
}

/** Envoy's way: of those that fit, the longest destination range, then the longest name, then the longest source range. */
function envoyChooses<T>(
  chains: readonly (readonly [ConnectionCondition, T])[],
  [destination, name, source]: readonly [string, string, string],
): T | undefined {
  const length = (range: string | undefined) => Number(range?.split('/')[1] ?? -1);
  let left = chains.filter(([c]) => contains(c.destination, destination));
  const longest = Math.max(...left.map(([c]) => length(c.destination)));
  left = left.filter(([c]) => length(c.destination) === longest);
  left = left.filter(([c]) => c.serverName === undefined || hostCovers(c.serverName, name));
  const exact = left.filter(([c]) => c.serverName === name);
  const nameLength = Math.max(...left.map(([c]) => c.serverName?.length ?? 0));
  left = exact.length > 0 ? exact : left.filter(([c]) => (c.serverName?.length ?? 0) === nameLength);
  left = left.filter(([c]) => contains(c.source, source));
  return left.sort(([a], [b]) => length(b.source) - length(a.source))[0]?.[1];
}

test('the most specific is the first that holds, on random lists', () => {
  const random = new Random(1);
  for (let run = 0; run < 500; run++) {
    const list = Array.from({ length: 1 + random.below(6) }, (_, index) => {
      const [destination, serverName, source] = [
        random.pick(ranges),
        random.pick(names),
        random.pick(ranges),
      ];
      const condition = {
        ...(destination ? { destination } : {}),
        ...(serverName ? { serverName } : {}),
        ...(source ? { source } : {}),
      };
      return [condition, index] as const;
    });
    const chains = mostSpecific(list);
    for (let i = 0; i < 30; i++) {
      const call = [
        random.pick(addresses),
        random.pick(['a.x.com', 'c.x.com', 'b.com', 'z.org']),
        random.pick(addresses),
      ] as const;
      const first = list.find(
        ([c]) =>
          contains(c.destination, call[0]) &&
          (c.serverName === undefined || hostCovers(c.serverName, call[1])) &&
          contains(c.source, call[2]),
      )?.[1];
      expect(envoyChooses(chains, call), JSON.stringify({ list, call })).toBe(first);
    }
  }
});

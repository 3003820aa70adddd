import { type Cidr, cidrContains, formatIp, parseCidr, parseIp } from '../kit/ip.ts';
import { hostCovers } from './hosts.ts';

/** What a connection must look like; absent parts are not looked at. */
export interface ConnectionCondition {
  /** Destination range in CIDR form. */
  readonly destination?: string;
  /** Exact name or `*.example.com`. */
  readonly serverName?: string;
  /** Source range in CIDR form. */
  readonly source?: string;
}

/**
 * Turns "the first whose condition holds" into what Envoy's filter chains can say: "the longest destination range, within that the
 * longest server name, within that the longest source range, with no way back". Every cell of that tree gets the first condition that
 * covers it.
 */
export function mostSpecific<T>(
  ordered: readonly (readonly [ConnectionCondition, T])[],
): (readonly [ConnectionCondition, T])[] {
  const cells: { condition: ConnectionCondition; rank: number; value: T }[] = [];
  const ranked = ordered.map(([condition, value], rank) => ({ condition, rank, value }));
  for (const destination of new Set(ranked.map(({ condition }) => condition.destination))) {
    const inRange = ranked.filter(({ condition }) => covers(condition.destination, destination, rangeCovers));
    const byName = Map.groupBy(inRange, ({ condition }) => condition.serverName);
    const patterns = [...byName.keys()].filter((name) => name === undefined || name.startsWith('*'));
    for (const serverName of byName.keys()) {
      const names = new Set([serverName, ...patterns.filter((name) => covers(name, serverName, hostCovers))]);
      const named = [...names].flatMap((name) => byName.get(name) ?? []).sort((x, y) => x.rank - y.rank);
      for (const source of new Set(named.map(({ condition }) => condition.source))) {
        const first = named.find(({ condition }) => covers(condition.source, source, rangeCovers));
        if (first) cells.push({ ...first, condition: part({ destination, serverName, source }) });
      }
    }
  }
  return cells.sort((x, y) => x.rank - y.rank).map(({ condition, value }) => [condition, value] as const);
}

type Wide = { readonly [K in keyof ConnectionCondition]-?: ConnectionCondition[K] | undefined };

function part({ destination, serverName, source }: Wide): ConnectionCondition {
  return {
    ...(destination !== undefined ? { destination } : {}),
    ...(serverName !== undefined ? { serverName } : {}),
    ...(source !== undefined ? { source } : {}),
  };
}

/** No limit covers everything, and only that covers no limit. Ranges and name patterns are nested or have nothing in common. */
function covers(
  wide: string | undefined,
  narrow: string | undefined,
  contains: (wide: string, narrow: string) => boolean,
): boolean {
  return wide === undefined || wide === narrow || (narrow !== undefined && contains(wide, narrow));
}

function rangeCovers(wide: string, narrow: string): boolean {
  const outer = parseRange(wide);
  const inner = parseRange(narrow);
  return Boolean(
    outer && inner && outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address),
  );
}

function parseRange(text: string): Cidr | undefined {
  const address = parseIp(text);
  return address ? { address, prefixLength: address.bytes.length * 8 } : parseCidr(text);
}

/** A range without the bits that its length does not cover (Envoy takes ranges for equal that differ only there); a bare address as it is. */
export function canonicalRange(range: string): string {
  const cidr = parseRange(range);
  if (!cidr) return range;
  const bytes = cidr.address.bytes.map((byte, index) => {
    const bits = Math.max(0, Math.min(8, cidr.prefixLength - index * 8));
    return byte & (0xff << (8 - bits)) & 0xff;
  });
  return `${formatIp({ ...cidr.address, bytes })}/${cidr.prefixLength}`;
}

/** Whether an address lies in a range. */
export function inRange(range: string, address: string): boolean {
  return rangeCovers(range, address);
}

/** What two conditions have in common; undefined: nothing. */
export function intersect(a: ConnectionCondition, b: ConnectionCondition): ConnectionCondition | undefined {
  const destination = narrower(a.destination, b.destination, rangeCovers);
  const serverName = narrower(a.serverName, b.serverName, hostCovers);
  const source = narrower(a.source, b.source, rangeCovers);
  if (destination === false || serverName === false || source === false) return undefined;
  return part({ destination, serverName, source });
}

function narrower(
  a: string | undefined,
  b: string | undefined,
  contains: (wide: string, narrow: string) => boolean,
): string | undefined | false {
  if (covers(a, b, contains)) return b;
  return covers(b, a, contains) && a;
}

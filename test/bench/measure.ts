import type { Push } from '../../src/snapshot/push.ts';

/** A whole number above 0 from the command line: `--name N`. */
export function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number above 0`);
  return value;
}

/** Milliseconds of CPU that this process has used. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The middle value, between the two middle ones where there are two; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Bytes that one client receives of a push, the largest over all clients, and the number of clients concerned. */
export function weigh(push: Push | undefined): { bytes: number; clients: number } {
  const sums = new Map<string, number>();
  for (const { proxies: ids, upserts } of push?.deltas ?? []) {
    const bytes = upserts.reduce((sum, r) => sum + r.bytes.length + r.name.length, 0);
    for (const id of ids) sums.set(id, (sums.get(id) ?? 0) + bytes);
  }
  return { bytes: Math.max(0, ...sums.values()), clients: sums.size };
}

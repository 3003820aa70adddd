import { hashWords } from '../kit/hash.ts';
import { cidrContains, formatIp, parseCidr, parseIp } from '../kit/ip.ts';
import { compareText } from '../kit/maps.ts';
import type { ServiceEntry } from './schema.ts';

/** Label by which an entry declines automatic addresses (`false`). */
const enableLabel = 'networking.istio.io/enable-autoallocate-ip';
const ranges = ['240.240.0.0/16', '2001:2::/48'].flatMap((range) => parseCidr(range) ?? []);
/** New addresses: 240.240.0.1 to 240.240.255.254, and 2001:2::1 to 2001:2::fffe. */
const slots = 0xfffe;

/** One address as `status.addresses` of a ServiceEntry holds it. */
export interface HostAddress {
  readonly value: string;
  readonly host: string;
}

/**
 * Whether an entry gets addresses of its own: not where the user gave some or declined, and not where connections go to the address
 * that was called.
 * @see https://istio.io/latest/docs/ops/configuration/traffic-management/dns-proxy/#address-auto-allocation
 */
export function wantsVirtualIps(entry: ServiceEntry): boolean {
  const { resolution = 'NONE', addresses = [] } = entry.spec ?? {};
  return (
    resolution !== 'NONE' &&
    addresses.length === 0 &&
    entry.metadata.labels?.[enableLabel]?.toLowerCase() !== 'false'
  );
}

interface Claim {
  readonly key: string;
  readonly createdAt: string;
  /** Written by the user: nobody else may have it. */
  readonly byHand: boolean;
  readonly hosts: readonly string[];
  /** What the status says, by host. */
  readonly said: ReadonlyMap<string, readonly string[]>;
}

/**
 * Addresses for the hosts of ServiceEntries that have none: an IPv4 and an IPv6 one each, out of ranges that no network routes. What
 * an entry's status says stays; where two say the same, the older entry keeps it and the other gets a new one. A new address follows
 * from the entry's name, so that losing a status moves nothing.
 */
export class VirtualIps {
  readonly #claims = new Map<string, Claim>();
  /** Address in canonical form → the entry that has it. */
  readonly #owners = new Map<string, string>();
  readonly #given = new Map<string, readonly HostAddress[]>();

  /** Takes entries that came, changed or went (undefined); returns those whose addresses are no longer the same. */
  set(changes: ReadonlyMap<string, ServiceEntry | undefined>): Set<string> {
    const before = new Map<string, readonly HostAddress[]>();
    const waiting = new Set<string>();
    for (const [key, entry] of changes) {
      const old = this.of(key);
      before.set(key, old);
      this.#release(key);
      const claim = entry && claimOf(key, entry, old);
      if (!claim) this.#claims.delete(key);
      else {
        this.#claims.set(key, claim);
        waiting.add(key);
      }
    }
    // What users wrote first, then what statuses say, the older first; new addresses go to what is left.
    const ordered = [...waiting].map((key) => this.#claims.get(key) as Claim).sort(inPrecedence);
    for (const claim of ordered)
      for (const key of this.#keep(claim)) {
        if (!before.has(key)) before.set(key, this.of(key));
        this.#release(key);
        waiting.add(key);
      }
    for (const key of [...waiting].sort(compareText)) this.#give(this.#claims.get(key) as Claim);
    return new Set([...before].filter(([key, old]) => !same(old, this.of(key))).map(([key]) => key));
  }

  /** An entry's automatic addresses, by host in the order of its hosts. */
  of(key: string): readonly HostAddress[] {
    return this.#given.get(key) ?? [];
  }

  #release(key: string): void {
    const said = [...(this.#claims.get(key)?.said.values() ?? [])].flat();
    for (const address of [...said, ...this.of(key).map(({ value }) => value)])
      if (this.#owners.get(address) === key) this.#owners.delete(address);
    this.#given.delete(key);
  }

  /** Takes what a claim says, also from younger ones; returns those that lost something. */
  #keep(claim: Claim): Set<string> {
    const losers = new Set<string>();
    for (const address of [...claim.said.values()].flat()) {
      const owner = this.#owners.get(address);
      if (owner !== undefined && owner !== claim.key) {
        if (inPrecedence(this.#claims.get(owner) as Claim, claim) < 0) continue;
        losers.add(owner);
      }
      this.#owners.set(address, claim.key);
    }
    return losers;
  }

  #give(claim: Claim): void {
    if (claim.byHand) return;
    const given = claim.hosts.flatMap((host): HostAddress[] => {
      const said = claim.said.get(host) ?? [];
      const kept = (version: 4 | 6) =>
        said.find(
          (address) =>
            versionOf(address) === version && (this.#owners.get(address) ?? claim.key) === claim.key,
        );
      return ([4, 6] as const).flatMap((version) => {
        const value = kept(version) ?? this.#free(`${claim.key}/${host}`, version);
        if (value === undefined) return [];
        this.#owners.set(value, claim.key);
        return [{ value, host }];
      });
    });
    this.#given.set(claim.key, given);
  }

  #free(seed: string, version: 4 | 6): string | undefined {
    const [start] = hashWords(new TextEncoder().encode(seed));
    for (let tried = 0; tried < slots; tried++) {
      const address = addressOf(((start + tried) % slots) + 1, version);
      if (!this.#owners.has(address)) return address;
    }
    return undefined;
  }
}

/** `old`: what it had so far, which stays as long as no status says otherwise. */
function claimOf(key: string, entry: ServiceEntry, old: readonly HostAddress[]): Claim | undefined {
  const createdAt = entry.metadata.creationTimestamp ?? '';
  if (!wantsVirtualIps(entry)) {
    const own = (entry.spec?.addresses ?? []).flatMap((address) => canonical(address) ?? []);
    return own.length > 0
      ? { key, createdAt, byHand: true, hosts: [], said: new Map([['', own]]) }
      : undefined;
  }
  const hosts = (entry.spec?.hosts ?? []).filter((host) => !host.startsWith('*'));
  const said = new Map<string, string[]>();
  for (const { value = '', host = '' } of [...(entry.status?.addresses ?? []), ...old]) {
    const address = canonical(value);
    if (address === undefined || !hosts.includes(host)) continue;
    said.set(host, [...(said.get(host) ?? []), address]);
  }
  return hosts.length > 0 ? { key, createdAt, byHand: false, hosts, said } : undefined;
}

function inPrecedence(a: Claim, b: Claim): number {
  return (
    Number(b.byHand) - Number(a.byHand) ||
    compareText(a.createdAt || '~', b.createdAt || '~') ||
    compareText(a.key, b.key)
  );
}

/** An address of the two ranges in its one form; undefined for any other. */
function canonical(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && ranges.some((range) => cidrContains(range, ip)) ? formatIp(ip) : undefined;
}

function addressOf(slot: number, version: 4 | 6): string {
  return version === 4 ? `240.240.${slot >> 8}.${slot & 0xff}` : `2001:2::${slot.toString(16)}`;
}

function versionOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

/** Whether a status says exactly the addresses given. */
export function saysSo(entry: ServiceEntry, given: readonly HostAddress[]): boolean {
  return same((entry.status?.addresses ?? []) as readonly HostAddress[], given);
}

function same(a: readonly HostAddress[], b: readonly HostAddress[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ value, host }, index) => value === b[index]?.value && host === b[index]?.host)
  );
}

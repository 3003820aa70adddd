/** An IP address in binary: 4 or 16 bytes. */
export interface IpAddress {
  version: 4 | 6;
  bytes: readonly number[];
}

export interface Cidr {
  address: IpAddress;
  /** 0–32 or 0–128. */
  prefixLength: number;
}

/** Parses dotted IPv4 (no leading zeros) or IPv6 (`::`, embedded IPv4, no zone). Undefined where it is neither. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Parses `address/prefix length`; host bits may be set. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (!address || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const prefixLength = Number(digits);
  return prefixLength <= address.bytes.length * 8 ? { address, prefixLength } : undefined;
}

/** True when the address lies in the range. Versions never mix. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (cidr.address.version !== ip.version) return false;
  return samePrefix(cidr.address.bytes, ip.bytes, cidr.prefixLength);
}

function samePrefix(a: readonly number[], b: readonly number[], bits: number): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    const mask = bits - i * 8 >= 8 ? 0xff : (0xff << (8 - (bits - i * 8))) & 0xff;
    if (((a[i] ?? 0) & mask) !== ((b[i] ?? 0) & mask)) return false;
  }
  return true;
}

function parseIpv4(text: string): IpAddress | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const parts = match.slice(1);
  if (parts.some((part) => Number(part) > 255 || (part.length > 1 && part.startsWith('0')))) return undefined;
  return { version: 4, bytes: parts.map(Number) };
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  if (!head) return undefined;
  if (halves.length === 1) return head.length === 16 ? { version: 6, bytes: head } : undefined;
  const tail = parseGroups(halves[1] ?? '', true);
  if (!tail || head.length + tail.length > 14) return undefined;
  const zeros = new Array<number>(16 - head.length - tail.length).fill(0);
  return { version: 6, bytes: [...head, ...zeros, ...tail] };
}

/** Bytes of `a:b:…`; the last group may be dotted IPv4 where `last` says that the address ends here. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (last && i === groups.length - 1 && group.includes('.')) {
      const v4 = parseIpv4(group);
      if (!v4) return undefined;
      bytes.push(...v4.bytes);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

/** The one form of an address (RFC 5952): lower case, the longest run of zero groups as `::`. */
export function formatIp({ version, bytes }: IpAddress): string {
  if (version === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  let start = 0;
  let length = 0;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === '0') to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

/** An address or range in its one form; any other text as it is. */
export function canonicalAddress(text: string): string {
  // A dotted address has one form only.
  if (!text.includes(':') && !text.includes('/')) return text;
  const ip = parseIp(text);
  if (ip) return formatIp(ip);
  const cidr = parseCidr(text);
  return cidr ? `${formatIp(cidr.address)}/${cidr.prefixLength}` : text;
}

/** Whether an address leads nowhere but to its own machine. */
export function loopbackOnly(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

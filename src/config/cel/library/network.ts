import { type Cidr, cidrContains, type IpAddress, parseCidr, parseIp } from '../../../kit/ip.ts';
import { CelError, type CelValue, type Opaque, typeName } from '../value.ts';
import { asString, handler, type Library } from './handler.ts';

class Url implements Opaque {
  readonly opaque = 'net.URL';
  readonly url: ParsedUrl;
  readonly text: string;
  constructor(url: ParsedUrl, text: string) {
    this.url = url;
    this.text = text;
  }
  equals(other: Opaque): boolean {
    return other instanceof Url && other.text === this.text;
  }
}

interface ParsedUrl {
  scheme: string;
  /** With the port. */
  host: string;
  path: string;
  query: string;
}

/** An absolute URI or absolute path, as Go's `url.ParseRequestURI`, which Kubernetes uses, takes it. */
export function parseUrl(text: string): ParsedUrl | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  if (/[\u0000-\u001f\u007f]/.test(text) || text === '') return undefined;
  const match = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?]*))?([^?]*)(?:\?(.*))?$/s.exec(text);
  if (!match) return undefined;
  const [, scheme = '', authority, path = '', query = ''] = match;
  if (scheme === '' && (authority !== undefined || !path.startsWith('/'))) return undefined;
  if (/%(?![0-9a-fA-F]{2})/.test(path)) return undefined;
  const at = authority?.lastIndexOf('@') ?? -1;
  if (!/^([\w.~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*$/.test(authority?.slice(0, at + 1) ?? '')) return undefined;
  const host = authority?.slice(at + 1) ?? '';
  if (!isHost(host)) return undefined;
  return { scheme: scheme.toLowerCase(), host, path, query };
}

function isHost(host: string): boolean {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host);
  if (bracketed) return parseIp((bracketed[1] ?? '').replace(/%25.*$/, ''))?.version === 6;
  return /^[^\s#[\]^`{|}\\/?@:]*(:\d*)?$/.test(host) && !/%(?![0-9a-fA-F]{2})/.test(host);
}

class Ip implements Opaque {
  readonly opaque = 'net.IP';
  readonly ip: IpAddress;
  readonly text: string;
  constructor(ip: IpAddress, text: string) {
    this.ip = ip;
    this.text = text;
  }
  equals(other: Opaque): boolean {
    return other instanceof Ip && sameBytes(this.ip.bytes, other.ip.bytes);
  }
  toString(): string {
    return this.text;
  }
}

class Range implements Opaque {
  readonly opaque = 'net.CIDR';
  readonly cidr: Cidr;
  readonly text: string;
  constructor(cidr: Cidr, text: string) {
    this.cidr = cidr;
    this.text = text;
  }
  equals(other: Opaque): boolean {
    return (
      other instanceof Range &&
      other.cidr.prefixLength === this.cidr.prefixLength &&
      sameBytes(this.cidr.address.bytes, other.cidr.address.bytes)
    );
  }
  toString(): string {
    return this.text;
  }
}

function sameBytes(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Kubernetes takes no IPv4-mapped IPv6 addresses. */
function ipOf(text: string): IpAddress | undefined {
  const ip = parseIp(text);
  return ip?.version === 6 && text.includes('.') ? undefined : ip;
}

function toUrl(value: CelValue | undefined): Url {
  const text = asString(value);
  const url = parseUrl(text);
  if (!url) throw new CelError(`${JSON.stringify(text)} is not a URL`);
  return new Url(url, text);
}

function toIp(value: CelValue | undefined): Ip {
  if (value instanceof Ip) return value;
  const text = asString(value);
  const ip = ipOf(text);
  if (!ip) throw new CelError(`${JSON.stringify(text)} is not an IP address`);
  return new Ip(ip, text);
}

function toRange(value: CelValue | undefined): Range {
  if (value instanceof Range) return value;
  const text = asString(value);
  const cidr = parseCidr(text);
  if (!cidr) throw new CelError(`${JSON.stringify(text)} is not a CIDR range`);
  return new Range(cidr, text);
}

export const networkFunctions: Library = {
  url: handler(1, (_, [text]) => toUrl(text)),
  isURL: handler(1, (_, [text]) => parseUrl(asString(text)) !== undefined),
  ip: handler(1, (_, [text]) => toIp(text)),
  isIP: handler(1, (_, [text]) => ipOf(asString(text)) !== undefined),
  cidr: handler(1, (_, [text]) => toRange(text)),
  isCIDR: handler(1, (_, [text]) => parseCidr(asString(text)) !== undefined),
};

function part(read: (url: ParsedUrl) => CelValue) {
  return handler(0, (_, [value = null]) => {
    if (!(value instanceof Url)) throw new CelError(`${typeName(value)} is not a URL`);
    return read(value.url);
  });
}

function property(read: (bytes: readonly number[], version: 4 | 6) => CelValue) {
  return handler(0, (_, [value]) => {
    const { bytes, version } = toIp(value).ip;
    return read(bytes, version);
  });
}

const allZero = (bytes: readonly number[]) => bytes.every((byte) => byte === 0);

export const networkMethods: Library = {
  getScheme: part((url) => url.scheme),
  getHost: part((url) => url.host),
  getHostname: part((url) => url.host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')),
  getPort: part((url) => /:(\d*)$/.exec(url.host)?.[1] ?? ''),
  getEscapedPath: part((url) => url.path),
  getQuery: part((url) => {
    const query = new Map<CelValue, CelValue>();
    for (const [key, value] of new URLSearchParams(url.query)) {
      query.set(key, [...((query.get(key) as readonly CelValue[] | undefined) ?? []), value]);
    }
    return query;
  }),
  family: property((_, version) => BigInt(version)),
  isUnspecified: property((bytes) => allZero(bytes)),
  isLoopback: property((bytes, version) =>
    version === 4 ? bytes[0] === 127 : allZero(bytes.slice(0, 15)) && bytes[15] === 1,
  ),
  isLinkLocalMulticast: property((bytes, version) =>
    version === 4
      ? bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
      : bytes[0] === 0xff && ((bytes[1] ?? 0) & 0x0f) === 2,
  ),
  isLinkLocalUnicast: property((bytes, version) =>
    version === 4
      ? bytes[0] === 169 && bytes[1] === 254
      : bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80,
  ),
  isGlobalUnicast: property((bytes, version) =>
    version === 4
      ? (bytes[0] ?? 0) < 224 &&
        !allZero(bytes) &&
        bytes[0] !== 127 &&
        !(bytes[0] === 169 && bytes[1] === 254)
      : bytes[0] !== 0xff &&
        !allZero(bytes.slice(0, 15)) &&
        !(bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80),
  ),
  containsIP: handler(1, (_, [range, ip]) => cidrContains(toRange(range).cidr, toIp(ip).ip)),
  containsCIDR: handler(1, (_, [range, inner]) => {
    const outer = toRange(range).cidr;
    const { cidr } = toRange(inner);
    return cidr.prefixLength >= outer.prefixLength && cidrContains(outer, cidr.address);
  }),
  prefixLength: handler(0, (_, [range]) => BigInt(toRange(range).cidr.prefixLength)),
};

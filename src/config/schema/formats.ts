import { parseCidr, parseIp } from '../../kit/ip.ts';

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const HOSTNAME =
  /^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?$/;
const DATE = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i;
const DURATION = /^[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const formats: Record<string, (text: string) => boolean> = {
  ipv4: (text) => parseIp(text)?.version === 4,
  ipv6: (text) => parseIp(text)?.version === 6,
  cidr: (text) => parseCidr(text) !== undefined,
  mac: (text) => /^([0-9a-f]{2}[:-]){5}([0-9a-f]{2})$/i.test(text),
  uuid: (text) => UUID.test(text),
  hostname: (text) => text.length <= 253 && HOSTNAME.test(text),
  email: (text) => /^[^\s@]+@[^\s@]+$/.test(text),
  uri: (text) => /^[a-zA-Z][a-zA-Z0-9+.-]*:\S*$/.test(text),
  date: (text) => DATE.test(text),
  'date-time': isDateTime,
  datetime: isDateTime,
  duration: (text) => DURATION.test(text),
  byte: (text) => BASE64.test(text.replace(/[\r\n]/g, '')),
};

function isDateTime(text: string): boolean {
  return DATE.test(text.slice(0, 10)) && /^[tT ]$/.test(text.charAt(10)) && TIME.test(text.slice(11));
}

const integerRanges: Record<string, [number, number]> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
};

/** True where the text has the format. Formats that Kubernetes does not know are not checked. */
export function hasFormat(format: string, text: string): boolean {
  return formats[format]?.(text) ?? true;
}

export function isInRange(format: string, value: number): boolean {
  const range = integerRanges[format];
  return !range || (value >= range[0] && value <= range[1]);
}

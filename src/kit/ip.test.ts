import { expect, test } from 'vitest';
import { cidrContains, parseCidr, parseIp } from './ip.ts';

test.each([
  ['1.2.3.4', 4],
  ['255.255.255.255', 4],
  ['::', 6],
  ['::1', 6],
  ['2001:db8::1', 6],
  ['::ffff:1.2.3.4', 6],
  ['1:2:3:4:5:6:7:8', 6],
])('%s is IPv%i', (text, version) => {
  expect(parseIp(text)?.version).toBe(version);
});

test.each([
  '',
  '1.2.3',
  '1.2.3.256',
  '01.2.3.4',
  '1.2.3.4.5',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  'g::',
  '1.2.3.4::',
  'fe80::1%eth0',
  '1:2:3:4:5:6:7::8',
])('%j is no IP address', (text) => {
  expect(parseIp(text)).toBeUndefined();
});

test('ranges contain their addresses, and only those', () => {
  const range = parseCidr('10.1.2.3/20');
  const contains = (text: string) => {
    const ip = parseIp(text);
    return range !== undefined && ip !== undefined && cidrContains(range, ip);
  };
  expect(contains('10.1.15.255')).toBe(true);
  expect(contains('10.1.16.0')).toBe(false);
  expect(contains('::10.1.2.3')).toBe(false);
  expect(parseCidr('10.0.0.0/33')).toBeUndefined();
  expect(parseCidr('10.0.0.0/08')).toBeUndefined();
  expect(parseCidr('::/128')?.prefixLength).toBe(128);
});

import { describe, expect, test } from 'vitest';
import {
  authorityOfAddress,
  domainVariants,
  hostCovers,
  hostKey,
  hostKeys,
  hostsOverlap,
  resolveHost,
  shortName,
} from './hosts.ts';

test('a name without a dot belongs to the namespace of who wrote it', () => {
  expect(resolveHost('reviews', 'shop', 'cluster.local')).toBe('reviews.shop.svc.cluster.local');
  expect(resolveHost('reviews.other', 'shop', 'cluster.local')).toBe('reviews.other');
  expect(resolveHost('*', 'shop', 'cluster.local')).toBe('*');
});

test('what an index files is found again under the full name, whatever the domain suffix', () => {
  for (const suffix of ['cluster.local', 'mesh.example'])
    expect(hostKeys(`reviews.shop.svc.${suffix}`, suffix)).toContain(hostKey('reviews', 'shop'));
  expect(hostKeys('api.example.com', 'cluster.local')).toEqual(['api.example.com']);
});

test('short names are of services only', () => {
  expect(shortName('a.b.svc.cluster.local', 'cluster.local')).toEqual({ name: 'a', namespace: 'b' });
  for (const other of [
    'a.b.c.svc.cluster.local',
    'svc.cluster.local',
    'a.svc.cluster.local',
    'a.b.svc.other',
  ])
    expect(shortName(other, 'cluster.local')).toBeUndefined();
});

describe('wildcards', () => {
  test.each([
    ['*', 'a', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', '.example.com', false],
    ['a.example.com', 'a.example.com', true],
    ['*.example.com', '*.b.example.com', true],
    ['*.b.example.com', '*.example.com', false],
  ])('%s covers %s: %s', (pattern, host, expected) => {
    expect(hostCovers(pattern, host)).toBe(expected);
  });

  test('overlap works both ways', () => {
    expect(hostsOverlap('*.b.example.com', '*.example.com')).toBe(true);
    expect(hostsOverlap('*.a.com', '*.b.com')).toBe(false);
  });
});

test('only the own namespace knows the bare name', () => {
  const fqdn = 'reviews.shop.svc.cluster.local';
  expect(domainVariants(fqdn, 'cluster.local', true)).toContain('reviews');
  expect(domainVariants(fqdn, 'cluster.local', false)).toEqual([
    fqdn,
    `${fqdn}.`,
    'reviews.shop',
    'reviews.shop.svc',
  ]);
  expect(domainVariants('*.example.com', 'cluster.local', true)).toEqual(['*.example.com']);
  const every = '*.shop.svc.cluster.local';
  expect(domainVariants(every, 'cluster.local', true)).toEqual([every, '*.shop', '*.shop.svc']);
});

test('IPv6 addresses stand in brackets in a Host header', () => {
  expect(authorityOfAddress('::1')).toBe('[::1]');
  expect(authorityOfAddress('10.0.0.1')).toBe('10.0.0.1');
});

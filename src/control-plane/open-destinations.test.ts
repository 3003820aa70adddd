import { beforeEach, expect, test } from 'vitest';
import type { ConfigChange } from '../config/sources/source.ts';
import { OpenDestinations } from './open-destinations.ts';

let now = 0;
let open: OpenDestinations;
beforeEach(() => {
  now = 1_000;
  open = new OpenDestinations({ domainSuffix: 'cluster.local', now: () => now });
});

function change(kind: string, name: string, spec?: Record<string, unknown>): ConfigChange {
  const group = kind === 'Service' ? '' : 'networking.istio.io';
  const object = { apiVersion: `${group}/v1`, kind, metadata: { name, namespace: 'default' }, spec };
  return { group, kind, key: `default/${name}`, ...(spec ? { object } : {}) };
}

const service = change('Service', 'reviews', { ports: [] });
const rule = (...subsets: string[]) =>
  change('DestinationRule', 'reviews', { host: 'reviews', subsets: subsets.map((name) => ({ name })) });
const route = (subset?: string, host = 'reviews') =>
  change('VirtualService', 'reviews', { http: [{ route: [{ destination: { host, subset } }] }] });

test('a route to what exists waits for nothing', () => {
  open.take([service, rule('v1')], true);
  for (const host of ['reviews', 'reviews.default.svc.cluster.local', 'Reviews'])
    open.take([route('v1', host)], false);
  expect(open.holdUntil()).toBeUndefined();
});

test('a route before its subset is held until the subset comes', () => {
  open.take([service], true);
  open.take([route('v1')], false);
  expect(open.holdUntil()).toBe(1_250);
  open.take([rule('v1')], false);
  expect(open.holdUntil()).toBeUndefined();
});

test('a subset that goes before its route is held; after the patience what was asked for is done, once', () => {
  open.take([service, rule('v1'), route('v1')], true);
  open.take([rule('v2')], false);
  expect(open.holdUntil()).toBe(1_250);
  now = 1_250;
  expect(open.holdUntil()).toBeUndefined();
  open.take([change('VirtualService', 'other', { http: [] })], false);
  expect(open.holdUntil()).toBeUndefined();
});

test('what is open at the start holds nothing up', () => {
  open.take([route('v1')], true);
  expect(open.holdUntil()).toBeUndefined();
});

test('a route before its host is held; wildcard hosts count', () => {
  open.take([route(undefined, 'api.example.com')], false);
  expect(open.holdUntil()).toBe(1_250);
  open.take([change('ServiceEntry', 'outside', { hosts: ['*.example.com'] })], false);
  expect(open.holdUntil()).toBeUndefined();
  open.take([change('ServiceEntry', 'outside')], false);
  expect(open.holdUntil()).toBe(1_250);
  open.take([change('VirtualService', 'reviews')], false);
  expect(open.holdUntil()).toBeUndefined();
});

test('holds in a row end', () => {
  open.take([service], true);
  open.take([route('v0')], false);
  expect(open.holdUntil()).toBe(1_250);
  for (let step = 1; step < 20; step++) {
    now += 200;
    open.take([route(`v${step}`)], false);
    const until = open.holdUntil();
    if (until === undefined) break;
    expect(until).toBeLessThanOrEqual(2_000);
  }
  expect(now).toBeLessThanOrEqual(2_000);
});

import { expect, test } from 'vitest';
import type { ParsedObject } from '../../../config/yaml-documents.ts';
import { countRequests, coverageOf } from './error-rate.ts';

const parsed = (kind: string, spec: unknown, name = 'x'): ParsedObject =>
  ({ object: { apiVersion: 'v1', kind, metadata: { name }, spec } }) as unknown as ParsedObject;

const line = (reporter: string, code: string, service: string, value: number): string =>
  `istio_requests_total{reporter="${reporter}",response_code="${code}",destination_service="${service}"} ${value}`;

const text = [
  '# TYPE istio_requests_total counter',
  line('source', '200', 'reviews.default.svc.cluster.local', 90),
  line('source', '503', 'reviews.default.svc.cluster.local', 10),
  line('destination', '503', 'reviews.default.svc.cluster.local', 10),
  line('source', '404', 'ratings.default.svc.cluster.local', 5),
  line('source', '500', 'unknown', 1),
  'istio_requests_total{broken',
].join('\n');

test('counts what callers saw of the hosts that a change names', () => {
  const reviews = coverageOf([parsed('VirtualService', { hosts: ['reviews'] })], 'default');
  expect(countRequests(text, reviews)).toEqual({ requests: 101, errors: 11 });
  const ratings = coverageOf([parsed('DestinationRule', { host: 'ratings.default.svc.cluster.local' })], 'x');
  expect(countRequests(text, ratings)).toEqual({ requests: 6, errors: 1 });
  expect(countRequests(text, coverageOf([parsed('AuthorizationPolicy', {})], 'default'))).toEqual({
    requests: 106,
    errors: 11,
  });
});

test.each([
  ['reviews.default.svc.cluster.local', true],
  ['reviews2.default.svc.cluster.local', false],
  ['reviews.other.svc.cluster.local', false],
  ['api.example.com', true],
  ['unknown', true],
])('hosts and destinations of a VirtualService: %s', (service, expected) => {
  const covers = coverageOf(
    [
      parsed('VirtualService', {
        hosts: ['*.example.com'],
        http: [{ route: [{ destination: { host: 'reviews' } }] }],
      }),
    ],
    'default',
  );
  expect(covers(service)).toBe(expected);
});

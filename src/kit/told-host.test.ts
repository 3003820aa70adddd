import { expect, test } from 'vitest';
import { readHost, tellHost } from './told-host.ts';

test.each([
  ['reviews.books.svc.cluster.local', 'books', 'reviews.books.svc.cluster.local'],
  ['reviews.books.svc.cluster.local', 'other', 'reviews.books.svc.cluster.local/other'],
  ['api.example.com', 'books', 'api.example.com/books'],
  ['*.example.com', 'books', '*.example.com/books'],
])('%s of %s is told as %s, and read as what it was', (host, namespace, told) => {
  expect(tellHost(host, namespace)).toBe(told);
  expect(readHost(told)).toEqual({ host, namespace });
});

test('a host that nobody told more of', () => {
  expect(readHost('PassthroughCluster')).toEqual({ host: 'PassthroughCluster', namespace: undefined });
});

import { describe, expect, it } from 'vitest';
import type { Resource } from '../snapshot/resource.ts';
import { namedIn } from './rejection.ts';

const resource = (name: string): Resource => ({
  typeUrl: 't',
  name,
  version: '1',
  bytes: new Uint8Array(),
  origins: [],
});

const found = (message: string, ...names: string[]): string[] =>
  namedIn(message, names.map(resource))
    .map((one) => one.name)
    .sort();

describe('namedIn', () => {
  it('finds the names in the messages that Envoy writes', () => {
    const a = 'outbound|80||a.default.svc.cluster.local';
    const b = 'outbound|80|v1|a.default.svc.cluster.local';
    const message = `Error adding/updating cluster(s) ${b}: no such lb, ${a}: another reason`;
    expect(found(message, a, b, 'outbound|80||c.default.svc.cluster.local')).toEqual([a, b].sort());
  });

  it('does not take a part of a name for a name', () => {
    expect(found('listener web-v2: bad', 'web', 'web-v2', 'v2')).toEqual(['web-v2']);
    expect(found('cluster 9080 and 80.', '80', '908', '9080')).toEqual(['80', '9080']);
    expect(found('something is wrong', 'a', 'some')).toEqual([]);
    expect(found('anything', '')).toEqual([]);
  });
});

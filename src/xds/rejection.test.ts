import { describe, expect, it } from 'vitest';
import type { Resource } from '../snapshot/resource.ts';
import { essence, namedIn } from './rejection.ts';

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

  it('knows a secret of files by the file that Envoy could not read', () => {
    const pair = 'file-cert:/etc/a/crt~/etc/a/key';
    const anchors = 'file-root:/etc/a/ca';
    const elsewhere = 'file-root:/etc/ca';
    expect(found('unable to read file: /etc/a/key', pair, anchors, elsewhere)).toEqual([pair]);
    const watch = 'unable to add filesystem watch for file /etc/a/: No such file or directory';
    expect(found(watch, pair, anchors, elsewhere)).toEqual([pair, anchors].sort());
  });
});

it('a message is kept without the resource that Envoy prints in it', () => {
  const printed = `goo.gle/debugonly   \nname: "a"\nload {\n${'  x: 1\n'.repeat(5_000)}}\n: `;
  const reason =
    'Proto constraint validation failed (ClusterValidationError.Size: value must be less than 5)';
  expect(essence(`${printed}${reason}`)).toBe(reason);
  expect(essence(`Error adding/updating cluster(s) a: ${printed}${reason}`)).toBe(
    `Error adding/updating cluster(s) a: ${reason}`,
  );
  expect(essence(printed.slice(0, 900))).toContain('the log of Envoy says which');
  expect(essence('b: address in use')).toBe('b: address in use');
});

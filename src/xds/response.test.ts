import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { fc } from '../../test/support/properties.ts';
import type { Resource } from '../snapshot/resource.ts';
import { emptyAssignment, encodeAbsentVirtualHost, encodeBody, encodeTrailer } from './response.ts';

function resource(name: string, bytes: Uint8Array = new Uint8Array([1, 2, 3]), version = 'v1'): Resource {
  return { typeUrl: 'type.googleapis.com/test.Type', name, version, bytes, origins: [] };
}

const resources = fc.array(
  fc.record({
    name: fc.string({ unit: 'grapheme' }),
    version: fc.string(),
    bytes: fc.uint8Array({ maxLength: 300 }),
  }),
  { maxLength: 300 },
);

describe('encodeBody', () => {
  it('writes what the generated messages read, in both forms', () => {
    fc.assert(
      fc.property(resources, fc.array(fc.string()), fc.string(), (list, removed, nonce) => {
        const made = list.map((one) => resource(one.name, one.bytes, one.version));
        const own = encodeTrailer({ typeUrl: 'type', version: '42', nonce, removed });
        const delta = fromBinary(
          DeltaDiscoveryResponseSchema,
          Buffer.concat([...encodeBody(made, 'delta').buffers, own]),
        );
        expect(
          delta.resources.map((one) => ({
            name: one.name,
            version: one.version,
            bytes: Uint8Array.from(one.resource?.value ?? []),
          })),
        ).toEqual(list.map((one) => ({ ...one, bytes: Uint8Array.from(one.bytes) })));
        expect([delta.removedResources, delta.nonce, delta.typeUrl, delta.systemVersionInfo]).toEqual([
          removed,
          nonce,
          'type',
          '42',
        ]);
        const sotw = fromBinary(
          DiscoveryResponseSchema,
          Buffer.concat([
            ...encodeBody(made, 'sotw').buffers,
            encodeTrailer({ typeUrl: 'type', version: '42', nonce, removed: [] }),
          ]),
        );
        expect(sotw.resources.map((one) => Uint8Array.from(one.value))).toEqual(
          list.map((one) => Uint8Array.from(one.bytes)),
        );
        expect(sotw.versionInfo).toBe('42');
      }),
      { numRuns: 60 },
    );
  });

  it('tells the length of what it wrote', () => {
    const body = encodeBody(
      Array.from({ length: 500 }, (_, i) => resource(`r${i}`)),
      'delta',
    );
    expect(body.length).toBe(Buffer.concat(body.buffers).length);
  });

  it('encodes a known array and a known run once', () => {
    const list = Array.from({ length: 2_000 }, (_, i) => resource(`resource-${i}`));
    const first = encodeBody(list, 'delta');
    expect(encodeBody(list, 'delta')).toBe(first);
    const again = encodeBody([...list], 'delta');
    expect(again.buffers.every((buffer, i) => buffer === first.buffers[i])).toBe(true);
    const changed = encodeBody(list.with(1_000, resource('resource-1000', new Uint8Array([9]))), 'delta');
    const shared = changed.buffers.filter((buffer) => first.buffers.includes(buffer));
    expect(first.buffers.length).toBeGreaterThan(10);
    expect(shared.length).toBe(first.buffers.length - 1);
    expect(fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(changed.buffers)).resources.length).toBe(
      2_000,
    );
  });
});

describe('the small messages', () => {
  it('tell of an absent virtual host by an alias without a body', () => {
    const response = fromBinary(DeltaDiscoveryResponseSchema, encodeAbsentVirtualHost('80/é.example'));
    expect(response.resources).toMatchObject([{ name: '80/é.example', aliases: ['80/é.example'] }]);
    expect(response.resources[0]?.resource).toBeUndefined();
  });

  it('tell of a cluster without endpoints', () => {
    for (const name of ['a', 'ü'.repeat(100)])
      expect(fromBinary(ClusterLoadAssignmentSchema, emptyAssignment(name))).toMatchObject({
        clusterName: name,
        endpoints: [],
      });
  });
});

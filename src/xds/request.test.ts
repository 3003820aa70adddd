import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { fc } from '../../test/support/properties.ts';
import { decodeDeltaRequest, decodeSotwRequest } from './request.ts';
import { hasField, WireError } from './wire.ts';

const status = { $typeName: 'google.rpc.Status' as const, code: 13, message: 'bad', details: [] };

describe('decodeDeltaRequest', () => {
  it('reads what the generated message writes', () => {
    const message = create(DeltaDiscoveryRequestSchema, {
      node: {
        id: 'sidecar~1.2.3.4~a.b~c',
        cluster: 'x',
        metadata: { NAMESPACE: 'b', LABELS: { app: 'a' } },
        locality: { region: 'r', zone: 'z', subZone: 's' },
        userAgentName: 'envoy',
      },
      typeUrl: 'type',
      resourceNamesSubscribe: ['a', 'ü'],
      resourceNamesUnsubscribe: ['c'],
      initialResourceVersions: { x: '1', y: '' },
      responseNonce: 'n',
      errorDetail: status,
    });
    expect(decodeDeltaRequest(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)), true)).toEqual({
      node: {
        id: 'sidecar~1.2.3.4~a.b~c',
        cluster: 'x',
        metadata: { NAMESPACE: 'b', LABELS: { app: 'a' } },
        locality: { region: 'r', zone: 'z', subZone: 's' },
      },
      typeUrl: 'type',
      nonce: 'n',
      error: 'bad',
      subscribe: ['a', 'ü'],
      unsubscribe: ['c'],
      claims: { names: ['x', 'y'], versions: ['1', ''] },
    });
  });

  it('reads random messages as the generated decoder does', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(fc.array(text), fc.array(text), text, (subscribe, unsubscribe, nonce) => {
        const bytes = toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            resourceNamesSubscribe: subscribe,
            resourceNamesUnsubscribe: unsubscribe,
            responseNonce: nonce,
          }),
        );
        expect(decodeDeltaRequest(Buffer.from(bytes), false)).toMatchObject({
          subscribe,
          unsubscribe,
          nonce,
        });
      }),
      { numRuns: 50 },
    );
  });

  it('refuses random bytes with a WireError at most, and always ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, wantNode) => {
        for (const decode of [decodeDeltaRequest, decodeSotwRequest])
          try {
            decode(Buffer.from(bytes), wantNode);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('decodeSotwRequest', () => {
  it('reads what the generated message writes', () => {
    const message = create(DiscoveryRequestSchema, {
      node: { id: 'i' },
      typeUrl: 'type',
      versionInfo: '7',
      resourceNames: ['a'],
      responseNonce: 'n',
      errorDetail: { ...status, message: '' },
    });
    const request = decodeSotwRequest(Buffer.from(toBinary(DiscoveryRequestSchema, message)), true);
    expect(request).toMatchObject({ typeUrl: 'type', subscribe: ['a'], nonce: 'n', node: { id: 'i' } });
    expect(request.error).toBe('the client gave no reason');
  });
});

describe('hasField', () => {
  it('looks at the top level only', () => {
    const bytes = toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, { node: { id: 'i', cluster: 'c' } }),
    );
    expect([hasField(bytes, 2), hasField(bytes, 1), hasField(bytes, 5)]).toEqual([true, false, false]);
  });
});

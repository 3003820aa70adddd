import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AddressSchema } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { Push, ResourceSource } from '../../src/snapshot/push.ts';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';

type Resources = ReadonlyMap<string, ReadonlyMap<string, Resource>>;

/** What one compile made, for each proxy by node id. Nothing changes, so nothing is pushed. */
export class FixedSource implements ResourceSource {
  readonly byProxy = new Map<string, Resources>();
  readonly revision = 1;
  connect(): void {}
  disconnect(): void {}
  resources(proxyId: string, typeUrl: string): ReadonlyMap<string, Resource> {
    return this.byProxy.get(proxyId)?.get(typeUrl) ?? new Map();
  }
  onPush(_: (push: Push) => void): () => void {
    return () => undefined;
  }
}

/** Listeners of a captured or gateway proxy bind addresses and ports that a test must not take: loopback, any free port. */
export function withListenersOnLoopback(resources: Resources): Resources {
  const listeners = resources.get(typeUrls.listener) ?? new Map<string, Resource>();
  const moved = new Map([...listeners].map(([key, value]) => [key, onLoopback(value)]));
  return new Map([...resources, [typeUrls.listener, moved]]);
}

function onLoopback(resource: Resource): Resource {
  const listener = fromBinary(ListenerSchema, resource.bytes);
  if (listener.bindToPort === false) return resource;
  const old = listener.address?.address;
  const socketAddress = {
    address: '127.0.0.1',
    portSpecifier: { case: 'portValue' as const, value: 0 },
    ...(old?.case === 'socketAddress' ? { protocol: old.value.protocol } : {}),
  };
  listener.address = create(AddressSchema, { address: { case: 'socketAddress', value: socketAddress } });
  listener.additionalAddresses = [];
  return { ...resource, bytes: toBinary(ListenerSchema, listener) };
}

import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, describe, expect, test } from 'vitest';
import { AddressSchema } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { Push, ResourceSource } from '../../src/snapshot/push.ts';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { type MeshEnvoys, rejectedUpdates, startMeshEnvoys } from '../support/compiled-mesh.ts';
import { compileCase, goldenCases } from './golden-case.ts';
import { nodeId } from './mesh.ts';

const cases = goldenCases(fileURLToPath(new URL('../..', import.meta.url)));

/** What one compile made, for each proxy by node id. Nothing changes, so nothing is pushed. */
class FixedSource implements ResourceSource {
  readonly byProxy = new Map<string, ReadonlyMap<string, ReadonlyMap<string, Resource>>>();
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

const source = new FixedSource();
let started: Promise<MeshEnvoys> | undefined;

afterAll(async () => (await started)?.stop());

describe.each(cases.map((golden) => [golden.name, golden] as const))('%s', (name, golden) => {
  test('real Envoy takes all of it', async () => {
    started ??= startMeshEnvoys(source);
    const mesh = await started;
    for (const [proxyName, { resources }] of compileCase(golden)) {
      const given = golden.proxies[proxyName] ?? {};
      const spec = { ...given, name: `${proxyName}-${name.replace(/\W+/g, '-')}` };
      const loaded = new Map(resources);
      const listeners = resources.get(typeUrls.listener) ?? new Map<string, Resource>();
      loaded.set(typeUrls.listener, new Map([...listeners].map(([key, value]) => [key, onLoopback(value)])));
      source.byProxy.set(nodeId(spec), loaded);
      const envoy = await mesh.envoy(spec, { delta: given.vhds ?? true });
      try {
        expect(mesh.refusals.filter((refusal) => refusal.includes(nodeId(spec)))).toEqual([]);
        expect(await rejectedUpdates(envoy)).toBe(0);
        const clusters = (await envoy.admin('/config_dump?resource=dynamic_active_clusters')).body;
        expect(clusters.match(/"version_info"/g)?.length ?? 0).toBe(
          resources.get(typeUrls.cluster)?.size ?? 0,
        );
        const listed = (await envoy.admin('/config_dump?resource=dynamic_listeners')).body;
        expect(listed.match(/"active_state"/g)?.length ?? 0).toBe(listeners.size);
      } finally {
        await envoy.stop();
      }
    }
  });
});

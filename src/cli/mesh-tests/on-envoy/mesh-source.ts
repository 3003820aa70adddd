import { createHash } from 'node:crypto';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '../../../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Model } from '../../../model/model.ts';
import type { MeshProxy } from '../../../snapshot/proxy.ts';
import type { ResourceSource } from '../../../snapshot/push.ts';
import { type Resource, typeUrls } from '../../../snapshot/resource.ts';

/**
 * A model as a source for real proxies: what the control plane would send each of its workloads, with the addresses of workloads
 * changed to where those listen on this machine. `places`: `address:port` → loopback port; `nowhere`: for every other address, so
 * that no test leaves the machine.
 */
export function meshSource(
  model: Model,
  places: ReadonlyMap<string, number>,
  nowhere: number,
): ResourceSource {
  const connected = new Map<string, ReadonlyMap<string, ReadonlyMap<string, Resource>>>();
  const none: ReadonlyMap<string, Resource> = new Map();
  const moved = new WeakMap<Resource, Resource>();
  const move = (resource: Resource): Resource => {
    const known = moved.get(resource) ?? moveResource(resource, places, nowhere);
    moved.set(resource, known);
    return known;
  };
  return {
    connect(proxy: MeshProxy) {
      const own = model.workloads.get(`${proxy.namespace}/${proxy.name}`)?.proxy;
      const set = own ? model.resources(own).set : new Map<string, ReadonlyMap<string, Resource>>();
      const sent = [...set].map(
        ([typeUrl, resources]) =>
          [typeUrl, new Map([...resources].map(([name, one]) => [name, move(one)]))] as const,
      );
      connected.set(proxy.id, new Map(sent));
    },
    disconnect: (id) => void connected.delete(id),
    resources: (id, typeUrl) => connected.get(id)?.get(typeUrl) ?? none,
    onPush: () => () => undefined,
    revision: 1,
  };
}

function moveResource(resource: Resource, places: ReadonlyMap<string, number>, nowhere: number): Resource {
  if (resource.typeUrl === typeUrls.endpoints) {
    const endpoints = fromBinary(ClusterLoadAssignmentSchema, resource.bytes);
    moveEndpoints(endpoints, places, nowhere);
    return withBytes(resource, toBinary(ClusterLoadAssignmentSchema, endpoints));
  }
  if (resource.typeUrl !== typeUrls.cluster || !resource.name.startsWith('outbound')) return resource;
  const cluster = fromBinary(ClusterSchema, resource.bytes);
  if (!cluster.loadAssignment) return resource;
  moveEndpoints(cluster.loadAssignment, places, nowhere);
  return withBytes(resource, toBinary(ClusterSchema, cluster));
}

function moveEndpoints(
  { endpoints }: ClusterLoadAssignment,
  places: ReadonlyMap<string, number>,
  nowhere: number,
): void {
  for (const { lbEndpoints } of endpoints)
    for (const { hostIdentifier } of lbEndpoints) {
      if (hostIdentifier.case !== 'endpoint') continue;
      const at = hostIdentifier.value.address?.address;
      if (at?.case !== 'socketAddress') continue;
      const { address, portSpecifier } = at.value;
      const port = portSpecifier.case === 'portValue' ? portSpecifier.value : 0;
      at.value.address = '127.0.0.1';
      at.value.portSpecifier = { case: 'portValue', value: places.get(`${address}:${port}`) ?? nowhere };
      hostIdentifier.value.additionalAddresses = [];
    }
}

function withBytes(resource: Resource, bytes: Uint8Array): Resource {
  return { ...resource, bytes, version: createHash('sha256').update(bytes).digest('hex').slice(0, 16) };
}

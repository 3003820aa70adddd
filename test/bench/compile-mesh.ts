import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import type { ConfigChange } from '../../src/config/sources/source.ts';
import { worldKind } from '../../src/config/world-kind.ts';
import { Registry } from '../../src/registry/registry.ts';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import { testProxy } from '../../src/snapshot/testing.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';

/** The mesh of the budgets, in the users' own objects: services with 5 endpoints, a fifth with a VirtualService and a DestinationRule. */
export interface MeshSize {
  readonly services: number;
  readonly namespaces: number;
}

export const namespaceOf = (i: number, size: MeshSize) => `ns${i % size.namespaces}`;
const created = { creationTimestamp: '2026-01-01T00:00:00Z' };

export function serviceObject(i: number, size: MeshSize): ConfigObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `svc${i}`, namespace: namespaceOf(i, size), ...created },
    spec: {
      clusterIP: `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
      ports: [{ name: 'http', port: 8080, targetPort: 8080 }],
      selector: { app: `svc${i}` },
    },
  };
}

/** The first endpoint's address depends on `move`. */
export function sliceObject(i: number, size: MeshSize, move = 0): ConfigObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `svc${i}-1`,
      namespace: namespaceOf(i, size),
      labels: { 'kubernetes.io/service-name': `svc${i}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: Array.from({ length: 5 }, (_, n) => ({
      addresses: [`10.${i >> 8}.${i & 255}.${n === 0 ? 100 + (move % 100) : n}`],
      conditions: { ready: true },
    })),
  };
}

export function virtualServiceObject(
  i: number,
  size: MeshSize,
  weight: number,
  sourceLabels?: Record<string, string>,
): ConfigObject {
  const host = `svc${i}.${namespaceOf(i, size)}.svc.cluster.local`;
  const destination = (subset: string) => ({ host, subset });
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `svc${i}`, namespace: namespaceOf(i, size), ...created },
    spec: {
      hosts: [host],
      http: [
        ...(sourceLabels ? [{ match: [{ sourceLabels }], route: [{ destination: destination('v1') }] }] : []),
        {
          route: [
            { destination: destination('v1'), weight },
            { destination: destination('v2'), weight: 100 - weight },
          ],
        },
      ],
    },
  };
}

export function destinationRuleObject(i: number, size: MeshSize, maxRequests: number): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: `svc${i}`, namespace: namespaceOf(i, size), ...created },
    spec: {
      host: `svc${i}.${namespaceOf(i, size)}.svc.cluster.local`,
      trafficPolicy: { connectionPool: { http: { http2MaxRequests: maxRequests } } },
      subsets: [
        { name: 'v1', labels: { version: 'v1' } },
        { name: 'v2', labels: { version: 'v2' } },
      ],
    },
  };
}

export function meshObjects(size: MeshSize): ConfigObject[] {
  const objects: ConfigObject[] = [];
  for (let i = 0; i < size.services; i++) {
    objects.push(serviceObject(i, size), sliceObject(i, size));
    if (i % 5 === 0) objects.push(virtualServiceObject(i, size, 50), destinationRuleObject(i, size, 100));
  }
  return objects;
}

/** What the control plane does between a source and the compile. */
export class ObjectFeed {
  readonly #registry = new Registry();

  put(...objects: ConfigObject[]): WorldChange[] {
    return this.take(objects.map((object) => ({ ...identify(object), object })));
  }

  remove(...objects: ConfigObject[]): WorldChange[] {
    return this.take(objects.map(identify));
  }

  take(changes: ConfigChange[]): WorldChange[] {
    const plain = changes.map(({ group, kind, key, object }) => ({
      kind: worldKind(group, kind),
      key,
      value: object,
    }));
    return [...plain, ...this.#registry.apply(changes)];
  }
}

function identify(object: ConfigObject): { group: string; kind: string; key: string } {
  const slash = object.apiVersion.indexOf('/');
  return {
    group: slash < 0 ? '' : object.apiVersion.slice(0, slash),
    kind: object.kind,
    key: objectKey(object),
  };
}

/** A sidecar of service `i`, with one of `labelSets` label sets. */
export function sidecar(i: number, size: MeshSize, labelSets: number): MeshProxy {
  const service = i % size.services;
  const proxy = testProxy(`svc${service}-${i}`, {
    namespace: namespaceOf(service, size),
    labels: { app: `app${i % labelSets}`, version: 'v1' },
    metadata: { INSTANCE_IPS: `10.${service >> 8}.${service & 255}.${1 + (i % 4)}` },
  });
  return proxy;
}

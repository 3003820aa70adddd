import { expect, test } from 'vitest';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import type { MeshService } from '../../src/registry/service.ts';
import { createEngine } from '../../src/snapshot/engine/engine.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';
import { makeProxy } from './mesh.ts';

const namespaces = 5;
const services = 40;
const proxies = 100;

/** What is per workload by nature: small, and shared again by what it resolves to. */
const perWorkload =
  /^(inbound\.|own-endpoints$|listener\/(inbound|explicit)|cluster\/(inbound|explicit)|explicit\.|gateway\.)/;

function mesh(): WorldChange[] {
  return Array.from({ length: services }, (_, index): WorldChange[] => {
    const namespace = `ns-${index % namespaces}`;
    const hostname = `svc-${index}.${namespace}.svc.cluster.local`;
    const service: MeshService = {
      hostname,
      namespace,
      name: `svc-${index}`,
      source: 'kubernetes',
      ports: [{ name: 'http', port: 9080, protocol: 'HTTP' }],
      resolution: 'static',
      external: false,
      addresses: [`10.1.0.${index}`],
      exportTo: ['*'],
      subjectAltNames: [],
      labels: {},
      publishNotReady: false,
      sessionAffinity: false,
      trafficDistribution: 'any',
      createdAt: '',
      origin: { kind: 'Service', namespace, name: `svc-${index}`, path: '' },
    };
    const metadata = { name: `svc-${index}`, namespace };
    const rule = { metadata, kind: 'DestinationRule', spec: { host: `svc-${index}`, trafficPolicy: {} } };
    const route = {
      metadata,
      kind: 'VirtualService',
      spec: {
        hosts: [`svc-${index}`],
        http: [{ match: [{ sourceLabels: { app: 'app-1' } }], route: [{ destination: { host: 'a' } }] }],
      },
    };
    return [
      { kind: 'service', key: `${namespace}/${hostname}`, value: service },
      { kind: 'DestinationRule', key: `${namespace}/svc-${index}`, value: rule },
      { kind: 'VirtualService', key: `${namespace}/svc-${index}`, value: route },
    ];
  }).flat();
}

test('proxies are told apart by what matters to a query, not by who they are', () => {
  const engine = createEngine({ roots: roots.collections });
  engine.setMesh(defaultMeshConfig);
  engine.apply(mesh());
  engine.flush();
  for (let index = 0; index < proxies; index++)
    engine.connect(
      makeProxy({
        name: `proxy-${index}`,
        namespace: `ns-${index % namespaces}`,
        labels: { app: `app-${index}`, version: `v${index % 7}` },
        locality: { region: 'eu', zone: `z${index % 3}` },
      }),
    );
  const shared = engine.stats().queries.filter(({ name }) => !perWorkload.test(name));
  expect(shared.length).toBeGreaterThan(20);
  // A service's own namespace or another, the one label that a route asks for or not.
  const wide = shared.filter(
    ({ name, maxClasses }) => maxClasses > 4 && !/\.(vhds-keys|hosts|keys)$/.test(name),
  );
  expect(wide.map(({ name, maxClasses }) => `${name} ${maxClasses}`)).toEqual([]);
  // Roots are as many as the namespaces at most, times the labels that routes ask for.
  const collections = engine.stats().collections.filter(({ name }) => !perWorkload.test(name));
  for (const { name, maxClasses } of collections)
    expect(maxClasses, name).toBeLessThanOrEqual(2 * namespaces);
});

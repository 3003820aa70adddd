import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { ConfigObject } from '../../src/config/object.ts';
import { worldKind } from '../../src/config/world-kind.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { Registry } from '../../src/registry/registry.ts';
import { createEngine } from '../../src/snapshot/engine/engine.ts';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import type { Resource } from '../../src/snapshot/resource.ts';
import { World } from '../../src/snapshot/world.ts';
import { findConflicts } from './conflicts.ts';
import { goldenCases } from './golden-case.ts';
import { makeProxy } from './mesh.ts';

const cases = goldenCases(fileURLToPath(new URL('../..', import.meta.url)));

/** Every object of every golden, renamed apart by case where names would clash is not wanted: clashes are what edits look like. */
const pool: ConfigObject[] = cases.flatMap((golden) =>
  golden.objects.flatMap((text) => parseYamlDocuments(text, golden.name).objects.map(({ object }) => object)),
);

const explicit = (outbound: number) => ({
  OSTRIA_CAPTURE: {
    outbound: {
      'reviews.default.svc.cluster.local:9080': outbound,
      'db.default.svc.cluster.local:3306': outbound + 1,
    },
    inbound: [{ servicePort: 9080, listen: outbound + 2, app: outbound + 3 }],
    httpProxy: outbound + 4,
  },
});

const proxies: MeshProxy[] = [
  makeProxy({ name: 'client', labels: { app: 'client' } }),
  makeProxy({ name: 'second', labels: { app: 'client' } }),
  makeProxy({ name: 'special', labels: { role: 'special' } }),
  makeProxy({ name: 'other', namespace: 'other', locality: { region: 'eu', zone: 'a' } }),
  makeProxy({ name: 'sotw', namespace: 'client', vhds: false }),
  makeProxy({ name: 'reviews-v1', ip: '10.2.0.1', locality: { region: 'us', zone: 'x' } }),
  makeProxy({ name: 'explicit', metadata: explicit(31_000) }),
  makeProxy({ name: 'explicit-2', namespace: 'other', metadata: explicit(32_000), vhds: false }),
  makeProxy({ type: 'router', name: 'ingress', labels: { istio: 'ingressgateway' } }),
  makeProxy({ type: 'router', name: 'ingress-2', labels: { istio: 'ingressgateway' }, vhds: false }),
];

/** xorshift: the same history for a seed everywhere. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function versions(types: ReadonlyMap<string, ReadonlyMap<string, Resource>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [type, byName] of types)
    for (const resource of byName.values()) result[`${type} ${resource.name}`] = resource.version;
  return result;
}

const urls = (
  types: ReadonlyMap<string, ReadonlyMap<string, Resource>>,
  engine: ReturnType<typeof createEngine>,
  id: string,
) => new Map([...types.keys()].map((type) => [type, engine.resources(id, type)]));

test.each([1, 2, 3, 4])(
  'the features give the same answer incrementally as from scratch (seed %i)',
  (seed) => {
    const pick = random(seed * 7919);
    const engine = createEngine({ roots: roots.collections, verify: { sampleRate: 0.05 } });
    const registry = new Registry({ mesh: defaultMeshConfig });
    const oracle = new World();
    engine.setMesh(defaultMeshConfig);
    oracle.setMesh(defaultMeshConfig);
    let mesh = defaultMeshConfig;
    for (const proxy of proxies.slice(0, 6)) engine.connect(proxy);
    for (let step = 0; step < 120; step++) {
      const edits = Array.from({ length: 1 + pick(4) }, () => {
        const object = pool[pick(pool.length)] as ConfigObject;
        const namespace = object.metadata.namespace ?? 'default';
        const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '';
        const gone = pick(4) === 0;
        return {
          group,
          kind: object.kind,
          key: `${namespace}/${object.metadata.name}`,
          ...(gone ? {} : { object: { ...object, metadata: { ...object.metadata, namespace } } }),
        };
      });
      const changes = [
        ...edits.map(({ group, kind, key, object }) => ({
          kind: worldKind(group, kind),
          key,
          value: object,
        })),
        ...registry.apply(edits),
      ];
      engine.apply(changes);
      oracle.apply(changes);
      if (pick(25) === 0) {
        mesh = { ...mesh, enableAutoMtls: !mesh.enableAutoMtls };
        engine.setMesh(mesh);
        oracle.setMesh(mesh);
      }
      const proxy = proxies[pick(proxies.length)] as MeshProxy;
      if (engine.proxies.has(proxy.id) && pick(3) === 0) engine.disconnect(proxy.id);
      else engine.connect(proxy);
      engine.flush();
      expect(engine.failures().map(({ query, args, error }) => `${query} ${args}: ${error}`)).toEqual([]);
      if (step % 6 !== 0) continue;
      for (const [id, connected] of engine.proxies) {
        const expected = rebuild(oracle, mesh, connected, roots.collections, {
          onFailure: ({ collection, key, error }) => {
            throw new Error(`step ${step}: ${collection} ${key ?? ''}`, { cause: error });
          },
        });
        expect(findConflicts(expected), `${id} at step ${step}`).toEqual([]);
        expect(versions(urls(expected, engine, id)), `${id} at step ${step}`).toEqual(versions(expected));
      }
    }
  },
  // Its work grows with the features; a machine that does many things at once is slow, not wrong.
  240_000,
);

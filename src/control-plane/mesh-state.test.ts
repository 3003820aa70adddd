import { expect, test } from 'vitest';
import type { ConfigObject } from '../config/object.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import type { WorldChange } from '../snapshot/world.ts';
import { MeshState, type MeshStateOptions } from './mesh-state.ts';

const put = (kind: string, namespace: string, name: string, rest: Record<string, unknown> = {}) => ({
  group: '',
  kind,
  key: `${namespace}/${name}`,
  object: { apiVersion: 'v1', kind, metadata: { namespace, name }, ...rest } as ConfigObject,
});

function stateWith(options: Partial<MeshStateOptions> = {}) {
  const services = new Set<string>();
  const told: string[] = [];
  const state = new MeshState({
    sources: ['store'],
    mesh: defaultMeshConfig,
    targets: [
      {
        setMesh: () => undefined,
        apply: (changes: Iterable<WorldChange>) => {
          for (const { kind, key, value } of changes)
            if (kind === 'service') value ? services.add(key) : services.delete(key);
        },
      },
    ],
    parseMesh: (text) => ({ ok: true, value: JSON.parse(text) as Record<string, unknown> }),
    onProblem: (message) => told.push(message),
    ...options,
  });
  const take = (...changes: ReturnType<typeof put>[]) =>
    state.take('store', { changes, revision: 1, initial: false });
  const settings = (mesh: unknown) =>
    take(put('ConfigMap', 'istio-system', 'istio', { data: { mesh: JSON.stringify(mesh) } }));
  return { services, told, state, take, settings };
}

test('discovery selectors of the ConfigMap take namespaces out of the mesh and bring them back', () => {
  const { services, take, settings } = stateWith();
  const web = (namespace: string) => put('Service', namespace, 'web', { spec: { ports: [{ port: 80 }] } });
  take(put('Namespace', '', 'shop', {}), web('shop'), web('istio-system'));
  expect(services.size).toBe(2);
  settings({ discoverySelectors: [{ matchLabels: { mesh: 'yes' } }] });
  expect([...services]).toEqual(['istio-system/web.istio-system.svc.cluster.local']);
  const labelled = put('Namespace', '', 'shop', {});
  labelled.object.metadata.labels = { mesh: 'yes' };
  take(labelled);
  expect(services.size).toBe(2);
});

test('a setting that nothing acts on is told once, and stays to be read', () => {
  const { told, state, settings } = stateWith();
  settings({ connectTimeout: '3s', configSources: [{ address: 'x' }] });
  settings({ connectTimeout: '4s', configSources: [{ address: 'x' }] });
  expect(told).toEqual([expect.stringMatching(/^MeshConfig configSources is set and not acted on: /)]);
  expect(state.uncovered.map(({ field }) => field)).toEqual(['configSources']);
  expect(state.mesh.connectTimeout).toBe('4s');
});

test('a mesh that issues certificates keeps its trust domain, and takes aliases', () => {
  const kept = stateWith({ keepTrustDomain: true });
  kept.settings({ trustDomain: 'prod.example', connectTimeout: '3s' });
  expect(kept.told).toEqual([expect.stringMatching(/trustDomain is prod\.example, but .* cluster\.local/)]);
  expect(kept.state.mesh).toMatchObject({ trustDomain: 'cluster.local', connectTimeout: '10s' });
  kept.settings({ trustDomain: 'cluster.local', trustDomainAliases: ['prod.example'] });
  expect(kept.state.mesh.trustDomainAliases).toEqual(['prod.example']);
  const free = stateWith();
  free.settings({ trustDomain: 'prod.example' });
  expect(free.state.mesh.trustDomain).toBe('prod.example');
});

import { afterEach, expect, test } from 'vitest';
import { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import type { ConfigObject, StatusCondition } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { roots } from '../pipeline/roots.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { createEngine } from '../snapshot/engine/engine.ts';
import { testProxy } from '../snapshot/testing.ts';
import { PatchReporter } from './patch-reporter.ts';
import { readBootstrapPatches } from './proxy-settings/bootstrap-patches.ts';

let stop: () => void = () => undefined;
afterEach(() => stop());

function filter(patches: readonly unknown[]): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'f', namespace: 'default' },
    spec: { configPatches: patches },
  };
}

const onCluster = (name: string, operation = 'MERGE') => ({
  applyTo: 'CLUSTER',
  match: { cluster: { name } },
  patch: { operation, value: { connect_timeout: '7s' } },
});

test('says which patches change nothing, once, and takes it back', async () => {
  const engine = createEngine({ roots: roots.collections });
  engine.setMesh(defaultMeshConfig);
  const written: Omit<StatusCondition, 'type'>[] = [];
  const reporter = new PatchReporter({
    kinds: createBuiltInRegistry(),
    writer: { report: (_ref, _type, condition) => void (condition && written.push(condition)) },
    compile: engine,
    rootNamespace: () => 'istio-system',
    bootstrapPatches: () => [],
    delayMs: 1,
    restMs: 1,
  });
  stop = () => reporter.close();
  const set = (object: ConfigObject): void => {
    const change: ConfigChange = {
      group: 'networking.istio.io',
      kind: 'EnvoyFilter',
      key: 'default/f',
      object,
    };
    engine.apply([{ kind: 'EnvoyFilter', key: 'default/f', value: object }]);
    reporter.observe([change]);
    engine.flush();
  };
  set(filter([onCluster('PassthroughCluster'), onCluster('nowhere')]));
  await expect.poll(() => written).toMatchObject([{ reason: 'NoProxy' }]);
  engine.connect(testProxy('client'));
  set(
    filter([onCluster('PassthroughCluster'), onCluster('nowhere'), onCluster('BlackHoleCluster', 'REMOVE')]),
  );
  await expect.poll(() => written.length).toBe(2);
  expect(written[1]).toMatchObject({
    status: 'False',
    reason: 'PatchMatchesNothing',
    message: /^spec\.configPatches\[1\] changes nothing of what the 1 connected proxy/,
  });
  set(filter([onCluster('PassthroughCluster'), onCluster('BlackHoleCluster', 'REMOVE')]));
  await expect.poll(() => written.at(-1)).toMatchObject({ status: 'True' });
  expect(written.length).toBe(3);
});

test('says which BOOTSTRAP patches proxies run without, though nothing else changes', async () => {
  const engine = createEngine({ roots: roots.collections });
  engine.setMesh(defaultMeshConfig);
  const object = filter([
    { applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value: { stats_flush_interval: '1s' } } },
  ]);
  const written: Omit<StatusCondition, 'type'>[] = [];
  const reporter = new PatchReporter({
    kinds: createBuiltInRegistry(),
    writer: { report: (_ref, _type, condition) => void (condition && written.push(condition)) },
    compile: engine,
    rootNamespace: () => 'istio-system',
    bootstrapPatches: () => readBootstrapPatches([object], 'istio-system'),
    awaitMs: 1,
    delayMs: 1,
    bootstrapMs: 1,
    restMs: 1,
  });
  stop = () => reporter.close();
  engine.apply([{ kind: 'EnvoyFilter', key: 'default/f', value: object }]);
  reporter.observe([{ group: 'networking.istio.io', kind: 'EnvoyFilter', key: 'default/f', object }]);
  engine.flush();
  await expect.poll(() => written).toMatchObject([{ reason: 'NoProxy' }]);
  const client = testProxy('client');
  const withReport = (report: object) =>
    engine.connect({ ...client, metadata: { ...client.metadata, OSTRIA_BOOTSTRAP_PATCHES: report } });
  withReport({ applied: [], refused: { 'default/f#0': 'no such extension' } });
  await expect
    .poll(() => written.at(-1))
    .toMatchObject({
      status: 'False',
      reason: 'RejectedByProxy',
      message: expect.stringMatching(
        /^spec\.configPatches\[0\]: .*client runs without it.*: no such extension$/,
      ),
    });
  withReport({ applied: [], refused: {} });
  await expect
    .poll(() => written.at(-1))
    .toMatchObject({
      status: 'False',
      reason: 'AwaitsRestart',
      message: expect.stringMatching(/^spec\.configPatches\[0\]: .*client runs without it/),
    });
  withReport({ applied: ['default/f#0'], refused: {} });
  await expect.poll(() => written.at(-1)).toMatchObject({ status: 'True' });
});

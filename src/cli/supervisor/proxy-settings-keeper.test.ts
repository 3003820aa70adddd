import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import type { ApiClient } from '../api/api-client.ts';
import { statePaths } from '../state/state-directory.ts';
import type { InstancePlan } from './mesh-plan.ts';
import { agentConfigPath } from './process-specs.ts';
import { hasOtherSettings, ProxySettingsKeeper } from './proxy-settings-keeper.ts';

const instance = { name: 'web-0', namespace: 'default', labels: { app: 'web' } } as unknown as InstancePlan;

test('reads mesh, ProxyConfigs and annotations; an invalid ConfigMap leaves what is in force', async () => {
  const mesh = (text: string): ConfigObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: text },
  });
  const other = { ...mesh('defaultConfig: {concurrency: 9}'), metadata: { name: 'other' } };
  const pod: ConfigObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'web-0',
      namespace: 'default',
      annotations: { 'proxy.istio.io/config': 'drainDuration: 3s\ntracing: {}' },
    },
  };
  const store: Record<string, ConfigObject[]> = {};
  const lines: string[] = [];
  const keeper = new ProxySettingsKeeper({
    client: () =>
      ({
        get: async (path: string) => ({
          metadata: { resourceVersion: '1' },
          items: store[path.split('/').at(-1) ?? ''] ?? [],
        }),
      }) as unknown as ApiClient,
    onChange: async () => {},
    log: (line) => lines.push(line),
  });
  const read = async (objects: Record<string, ConfigObject[]>) => {
    Object.assign(store, objects);
    await keeper.read(new AbortController().signal);
    const { concurrency, drainSeconds } = keeper.of(instance);
    return [concurrency, drainSeconds];
  };
  expect(await read({})).toEqual([undefined, undefined]);
  expect(await read({ configmaps: [other, mesh('defaultConfig: {concurrency: 2}')], pods: [pod] })).toEqual([
    2, 3,
  ]);
  expect(await read({ configmaps: [mesh('defaultConfig: {concurrency: many}')] })).toEqual([2, 3]);
  expect(await read({ configmaps: [mesh('[')] })).toEqual([2, 3]);
  expect(await read({ configmaps: [], pods: [] })).toEqual([undefined, undefined]);
  expect(lines).toEqual(['proxy of web-0: tracing of its annotation is not acted on']);
});

test('an agent has other settings where what it was given differs in them, and only there', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-keeper-'));
  try {
    const paths = statePaths(directory);
    const given = {
      workload: 'web-0',
      metadata: { A: '1' },
      envoy: { path: '/old' },
      drain: { seconds: 10 },
    };
    expect(hasOtherSettings('web-0', given, paths)).toBe(false);
    mkdirSync(paths.workload('web-0'), { recursive: true });
    writeFileSync(agentConfigPath(paths, 'web-0'), JSON.stringify(given));
    const wanted = { ...given, environment: {}, envoy: { path: '/new' }, labels: {} };
    expect(hasOtherSettings('web-0', wanted, paths)).toBe(false);
    expect(hasOtherSettings('web-0', { ...wanted, environment: { A: '1' } }, paths)).toBe(true);
    expect(hasOtherSettings('web-0', { ...wanted, envoy: { path: '/new', concurrency: 2 } }, paths)).toBe(
      true,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

import { expect, test } from 'vitest';
import { parseAgentConfig } from './agent-config.ts';
import { type ProxySettings, withProxySettings } from './proxy-settings.ts';

const file = {
  workload: 'web-1',
  namespace: 'shop',
  stateDirectory: '/tmp/web',
  controlPlane: { address: '127.0.0.1:15012', rootFile: '/tmp/root.pem' },
};

const settings: ProxySettings = {
  concurrency: 2,
  environment: { A: 'mesh', B: 'mesh' },
  metadata: { TEAM: 'mesh', ROOM: 1 },
  stats: { prefixes: ['mesh'], suffixes: [], regexps: [] },
  bootstrapPatches: [{ id: 'shop/f#0', value: { stats_flush_interval: '1s' } }],
  maxConnections: 9,
  drainSeconds: 3,
  terminationDrainSeconds: 4,
  certificate: { ttlSeconds: 60 },
  holdApplication: true,
  notes: [],
};

test('settings of the mesh count where the agent’s own file says nothing', () => {
  const parsed = parseAgentConfig(withProxySettings(file, settings));
  expect(parsed).toMatchObject({
    ok: true,
    config: {
      environment: { A: 'mesh', B: 'mesh' },
      metadata: { TEAM: 'mesh', ROOM: 1 },
      certificate: { ttlSeconds: 60 },
      drain: { seconds: 4 },
      envoy: {
        concurrency: 2,
        maxConnections: 9,
        drainSeconds: 3,
        bootstrapPatches: settings.bootstrapPatches,
      },
    },
  });
  const own = parseAgentConfig(
    withProxySettings(
      {
        ...file,
        environment: { A: 'file' },
        metadata: { TEAM: 'file' },
        drain: { seconds: 1 },
        envoy: { concurrency: 1, stats: { prefixes: ['file'] } },
      },
      settings,
    ),
  );
  expect(own).toMatchObject({
    ok: true,
    config: {
      environment: { A: 'file', B: 'mesh' },
      metadata: { TEAM: 'file', ROOM: 1 },
      drain: { seconds: 1 },
      envoy: { concurrency: 1, maxConnections: 9, stats: { prefixes: ['mesh', 'file'] } },
    },
  });
});

test('nothing said changes nothing', () => {
  const nothing: ProxySettings = { environment: {}, metadata: {}, holdApplication: false, notes: [] };
  expect(parseAgentConfig(withProxySettings(file, nothing))).toEqual(parseAgentConfig(file));
});

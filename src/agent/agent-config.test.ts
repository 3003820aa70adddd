import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseProxy } from '../snapshot/proxy.ts';
import {
  type AgentConfig,
  agentConfigFromEnvironment,
  parseAgentConfig,
  readAgentConfig,
} from './agent-config.ts';
import { buildBootstrap, buildNode } from './envoy-bootstrap.ts';
import { rotateEnvoyLog, tailEnvoyLog } from './envoy-log.ts';
import { socketPaths } from './socket-paths.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-agent-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const minimal = {
  workload: 'reviews-v1-0',
  namespace: 'default',
  stateDirectory: '/var/lib/x',
  controlPlane: { address: '127.0.0.1:15012', rootFile: '/var/lib/root.pem' },
};

function parse(value: unknown): AgentConfig {
  const parsed = parseAgentConfig(value);
  if (!parsed.ok) throw new Error(parsed.errors.join('; '));
  return parsed.config;
}

test('a minimal configuration gets the documented defaults', () => {
  expect(parse(minimal)).toMatchObject({
    serviceAccount: 'default',
    trustDomain: 'cluster.local',
    addresses: ['127.0.0.1'],
    dnsDomain: 'default.svc.cluster.local',
    certificate: { ttlSeconds: 86_400, keyType: 'ecdsa-p256' },
    envoy: { concurrency: 1, logLevel: 'warning' },
    drain: { seconds: 45, minimumSeconds: 5 },
  });
});

test('every complaint at once, each with its place; misspelt keys are complaints', () => {
  const parsed = parseAgentConfig({
    ...minimal,
    workload: 'Reviews~x',
    stateDirectory: 'relative',
    controlPlane: { address: 'nowhere', rootFile: '/r', sni: 'x' },
    addresses: ['localhost'],
    envoy: { concurrency: -1 },
    drian: {},
  });
  expect(parsed).toEqual({
    ok: false,
    errors: [
      'workload must be a name of lower-case letters, digits, "-" and "."',
      'addresses localhost is not an IP address',
      'stateDirectory must be an absolute path',
      'controlPlane.address must be host:port',
      'envoy.concurrency must be a number from 0 to 1024',
      'drian is not a known setting',
      'controlPlane.sni is not a known setting',
    ],
  });
});

test('a file that is missing or no JSON is named', async () => {
  await expect(readAgentConfig('/nonexistent.json')).rejects.toMatchObject({ code: 'AgentConfigInvalid' });
  const path = join(directory, 'bad.json');
  writeFileSync(path, '{');
  await expect(readAgentConfig(path)).rejects.toThrow(path);
});

test('a pod’s environment', () => {
  const env = {
    POD_NAME: 'reviews-v1-0',
    POD_NAMESPACE: 'default',
    INSTANCE_IP: '10.0.0.7',
    SERVICE_ACCOUNT: 'reviews',
    ISTIO_METAJSON_LABELS: '{"app":"reviews"}',
  };
  expect(parse(JSON.parse(JSON.stringify(agentConfigFromEnvironment(env))))).toMatchObject({
    workload: 'reviews-v1-0',
    serviceAccount: 'reviews',
    addresses: ['10.0.0.7'],
    labels: { app: 'reviews' },
    ports: { readiness: 15_021, metrics: 15_020 },
  });
});

test('the control plane reads the node as the agent meant it', () => {
  const capture = {
    outbound: { 'ratings.default.svc.cluster.local:9080': 20_001 },
    inbound: [{ servicePort: 9_080, listen: 20_002, app: 20_003 }],
    httpProxy: 0,
  };
  const config = parse({
    ...minimal,
    serviceAccount: 'reviews',
    labels: { app: 'reviews', version: 'v1' },
    locality: { region: 'r', zone: 'z', subZone: 's' },
    capture,
    metadata: { NAMESPACE: 'other', EXTRA: 'x' },
  });
  const node = buildNode(config) as { id: string; cluster: string; metadata: Record<string, unknown> };
  expect(node.id).toBe('sidecar~127.0.0.1~reviews-v1-0.default~default.svc.cluster.local');
  const parsed = parseProxy(node, { vhds: true });
  expect(parsed).toMatchObject({
    ok: true,
    proxy: {
      type: 'sidecar',
      name: 'reviews-v1-0',
      namespace: 'default',
      serviceAccount: 'reviews',
      labels: { app: 'reviews', version: 'v1' },
      capture: 'explicit',
      explicit: capture,
      clusterId: 'Kubernetes',
    },
  });
  expect(node.metadata.EXTRA).toBe('x');
});

test('the bootstrap holds no secret and keeps few statistics', () => {
  const bootstrap = buildBootstrap(parse({ ...minimal, envoy: { stats: { prefixes: ['mine'] } } }), {
    adminSocket: '/a',
    sdsSocket: '/s',
  });
  const text = JSON.stringify(bootstrap);
  expect(text).not.toMatch(/PRIVATE|inline_/);
  expect(text).toContain('{"prefix":"mine"}');
  expect(bootstrap.admin).toEqual({ address: { pipe: { path: '/a', mode: 0o600 } } });
});

test('the control plane is told where no statistics by response code are kept', () => {
  expect(buildNode(parse(minimal)).metadata).toMatchObject({ OSTRIA_CODE_STATS: 'none' });
  const more = [
    { stats: { suffixes: ['upstream_rq_200'] } },
    { bootstrapPatches: [{ id: 'default/a#0', value: { stats_config: {} } }] },
  ];
  for (const envoy of more)
    expect(buildNode(parse({ ...minimal, envoy })).metadata).not.toHaveProperty('OSTRIA_CODE_STATS');
});

test('sockets of a deep state directory go to a private short one', () => {
  expect(socketPaths('/short')).toEqual({ sds: '/short/sds.sock', admin: '/short/admin.sock' });
  const deep = join(directory, 'd'.repeat(100));
  const paths = socketPaths(deep);
  expect(Buffer.byteLength(paths.admin)).toBeLessThan(104);
  expect(socketPaths(deep)).toEqual(paths);
  const parent = join(paths.admin, '..');
  expect(statSync(parent).mode & 0o777).toBe(0o700);
  rmSync(parent, { recursive: true });
});

test('the Envoy log is rotated at its bound, once', () => {
  const path = join(directory, 'envoy.log');
  writeFileSync(path, `${'x'.repeat(1_000)}\nlast line\n`);
  expect(tailEnvoyLog(path, 1)).toBe('last line');
  expect(rotateEnvoyLog(path, 10_000)).toBe(false);
  expect(rotateEnvoyLog(path, 500)).toBe(true);
  expect(statSync(path).size).toBe(0);
  expect(tailEnvoyLog(`${path}.1`, 1)).toBe('last line');
});

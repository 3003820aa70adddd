// Agents that somebody starts by hand: their Envoys are started with what ProxyConfigs and BOOTSTRAP patches say.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBootstrapPatchReport } from '../../../src/kit/bootstrap-patch-report.ts';
import { createWorkload, type TestWorkload } from '../../support/agent.ts';
import { type OwnControlPlane, startOwnControlPlane } from '../../support/own-control-plane.ts';

let controlPlane: OwnControlPlane;
const started: TestWorkload[] = [];

beforeAll(async () => {
  controlPlane = await startOwnControlPlane();
});

afterAll(async () => {
  for (const workload of started) await workload.cleanUp();
  await controlPlane?.stop();
});

const objects = (flush: string, alsoBad: boolean) => `
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: of-hand, namespace: default}
spec:
  selector: {matchLabels: {app: hand}}
  concurrency: 2
  environmentVariables: {ISTIO_META_TEAM: blue, SAID_BY: mesh}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: flush, namespace: default}
spec:
  workloadSelector: {labels: {app: hand}}
  configPatches:
  - applyTo: BOOTSTRAP
    patch: {operation: MERGE, value: {stats_flush_interval: ${flush}}}
${
  alsoBad
    ? `  - applyTo: BOOTSTRAP
    patch: {operation: MERGE, value: {static_resources: {clusters: [{name: xds-grpc, connect_timeout: 1s}]}}}
`
    : ''
}`;

async function hand(name = 'hand'): Promise<TestWorkload> {
  const workload = await createWorkload(controlPlane, name, {
    capture: { outbound: {}, inbound: [], httpProxy: 0 },
    environment: { SAID_BY: 'its own file' },
  });
  started.push(workload);
  await workload.start();
  await workload.ready();
  return workload;
}

async function running({ admin }: TestWorkload) {
  const { configs } = JSON.parse(await admin('/config_dump?resource=&mask=bootstrap')) as {
    configs: { bootstrap?: { node: { metadata: Record<string, unknown> }; stats_flush_interval?: string } }[];
  };
  const bootstrap = configs.find(({ bootstrap: found }) => found)?.bootstrap;
  const { command_line_options: options } = JSON.parse(await admin('/server_info')) as {
    command_line_options: { concurrency: number };
  };
  return {
    flush: bootstrap?.stats_flush_interval,
    team: bootstrap?.node.metadata.TEAM,
    threads: options.concurrency,
    patches: readBootstrapPatchReport(bootstrap?.node.metadata ?? {}),
  };
}

test('ProxyConfig and BOOTSTRAP patches reach Envoy at its start; what breaks it is left out', async () => {
  await controlPlane.apply(objects('2s', true));
  const workload = await hand();
  expect(await running(workload)).toMatchObject({
    flush: '2s',
    team: 'blue',
    threads: 2,
    patches: { applied: ['default/flush#0'], refused: { 'default/flush#1': /xds-grpc/ } },
  });

  // An agent that is killed finds its Envoy again, whatever was said meanwhile; one that is ended starts another.
  const envoy = workload.envoyId();
  await controlPlane.apply(objects('3s', false));
  workload.kill('SIGKILL');
  await workload.exited();
  await workload.start();
  await workload.ready();
  expect(workload.envoyId()).toEqual(envoy);
  workload.kill('SIGTERM');
  expect(await workload.exited()).toBe(0);
  await workload.start();
  await workload.ready();
  expect(await running(workload)).toMatchObject({
    flush: '3s',
    threads: 2,
    patches: { applied: ['default/flush#0'], refused: {} },
  });

  // The control plane is gone: its last settings are those of the next start.
  await controlPlane.kill();
  workload.kill('SIGTERM');
  expect(await workload.exited()).toBe(0);
  await workload.start();
  await expect
    .poll(() => running(workload).catch(() => undefined), { timeout: 60_000 })
    .toMatchObject({
      flush: '3s',
      team: 'blue',
      threads: 2,
    });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';
import { afterAll, expect, test } from 'vitest';
import { agentNodeFlags } from '../../../src/agent/agent-command.ts';
import { createWorkload, inboundResources, type TestWorkload } from '../../support/agent.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';
import { freePorts } from '../../support/ports.ts';

const BUDGET_MB = 25;
let controlPlane: FakeControlPlane | undefined;
let workload: TestWorkload | undefined;

afterAll(async () => {
  await workload?.cleanUp();
  await controlPlane?.close();
});

test(`an idle agent holds at most ${BUDGET_MB} MB of anonymous memory, also after probes and scrapes`, async () => {
  controlPlane = await startFakeControlPlane();
  const dist = join(controlPlane.directory, 'dist');
  await build({
    input: { agent: join(import.meta.dirname, '../../../src/agent/main.ts') },
    platform: 'node',
    logLevel: 'silent',
    output: { dir: dist, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
  });
  const [inbound = 0, app = 0] = await freePorts(2);
  void controlPlane.script('idle-1', inboundResources(inbound, app));
  workload = await createWorkload(controlPlane, 'idle', {}, [...agentNodeFlags, join(dist, 'agent.mjs')]);
  await workload.start();
  await workload.ready();
  for (let i = 0; i < 100; i++) await workload.readiness();
  for (let i = 0; i < 10; i++)
    await (await fetch(`http://127.0.0.1:${workload.ports.metrics}/stats/prometheus`)).text();
  const kilobytes = (file: string, key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1]);
  const { pid } = workload.agentId();
  const anonymous = kilobytes(`/proc/${pid}/status`, 'RssAnon') / 1024;
  const proportional = kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss') / 1024;
  console.log(`agent: ${anonymous.toFixed(1)} MB anonymous, ${proportional.toFixed(1)} MB PSS`);
  expect(anonymous).toBeGreaterThan(5);
  expect(anonymous).toBeLessThanOrEqual(BUDGET_MB);
});

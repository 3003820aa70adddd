// A mesh of lazy sidecars, as a user starts it: they load what is called, and keep it while the control plane is away.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/bookinfo.ts';
import { type HelloMesh, openHelloMesh } from '../../support/hello-mesh.ts';

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh([], 'lazy: true\n');
});
afterAll(() => mesh?.close());

async function clustersOfSleep(): Promise<string> {
  const { code, stdout, stderr } = await mesh.ostria.run(['proxy-config', 'clusters', 'sleep-0']);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  await answer.text();
  return answer.status;
}

async function pidsOf(): Promise<{ agent: number; controlPlane: number }> {
  const { instances, controlPlane } = await mesh.ostria.status();
  const agent = instances.find(({ name }) => name === 'sleep-0')?.agent;
  if (agent?.state !== 'running' || controlPlane.state.state !== 'running') throw new Error('not running');
  return { agent: agent.pid, controlPlane: controlPlane.state.pid };
}

test('a sidecar loads what is called, when it is called', async () => {
  expect(await clustersOfSleep()).not.toContain('helloworld');
  expect(await statusOf(mesh.helloFromSleep)).toBe(200);
  const loaded = await clustersOfSleep();
  expect(loaded).toContain('helloworld');
  expect(loaded).not.toContain('httpbin');
});

test('without a control plane what was used works on, also behind a new agent; the rest comes when it is back', async () => {
  const before = await pidsOf();
  // A control plane that does not answer: one that died would be started again at once.
  process.kill(before.controlPlane, 'SIGSTOP');
  try {
    process.kill(before.agent, 'SIGKILL');
    await eventually(async () => expect((await pidsOf()).agent).not.toBe(before.agent));
    for (let call = 0; call < 5; call++) expect(await statusOf(mesh.helloFromSleep)).toBe(200);
    expect(await statusOf(mesh.httpbinFromSleep), 'nobody can say what it is').toBeGreaterThanOrEqual(400);
  } finally {
    process.kill(before.controlPlane, 'SIGCONT');
  }
  await eventually(async () => expect(await statusOf(mesh.httpbinFromSleep)).toBe(200), 60_000);
  expect(await clustersOfSleep()).toContain('httpbin');
});

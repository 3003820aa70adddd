import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Instance } from './instance.ts';
import type { ProcessSpec } from './managed-process.ts';
import type { InstancePlan } from './mesh-plan.ts';
import type { ObjectPublisher } from './object-publisher.ts';
import { markerVariable, sweep } from './ours.ts';
import { ProcessTable } from './process-table.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-instance-'));
});
afterEach(async () => {
  await sweep(scratch, { graceMs: 100 });
  rmSync(scratch, { recursive: true, force: true });
});

function spec(name: string, script: string): ProcessSpec {
  return {
    name,
    command: [process.execPath, '-e', `${script}; setInterval(() => {}, 1000)`],
    workingDirectory: scratch,
    environment: { PATH: process.env.PATH ?? '', [markerVariable]: scratch },
    log: join(scratch, 'a.log'),
    restart: { when: 'always' },
    stopGraceMs: 1_000,
  };
}

const publisher = { want: () => {}, settled: async () => {} } as unknown as ObjectPublisher;

test('where it is asked for, the application waits until its proxy is ready', async () => {
  let isReady = false;
  const server = createServer((_, response) => {
    response.statusCode = isReady ? 200 : 503;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const mark = join(scratch, 'started');
  const plan = {
    name: 'a-0',
    namespace: 'default',
    labels: {},
    service: '',
    endpoints: [],
    readinessPort: (server.address() as AddressInfo).port,
    capture: { inbound: [], outbound: {}, httpProxy: 0 },
  } as unknown as InstancePlan;
  const instance = new Instance({
    plan,
    agent: spec('a-0/agent', ''),
    app: spec('a-0/app', `require('node:fs').writeFileSync(${JSON.stringify(mark)}, '')`),
    table: new ProcessTable(join(scratch, 'processes.json'), scratch),
    publisher,
    prepareAgent: () => {},
    proxy: { isWaitedFor: () => true, notes: () => [] },
    isFulfilled: () => true,
    log: () => {},
  });
  try {
    instance.start();
    await vi.waitFor(
      () => expect(instance.status().why).toContain('the application waits for its proxy'),
      30_000,
    );
    expect(instance.status().app?.state).toBe('stopped');
    expect(existsSync(mark)).toBe(false);
    isReady = true;
    await vi.waitFor(() => expect([existsSync(mark), instance.ready]).toEqual([true, true]), 30_000);
  } finally {
    await instance.stop({ hurry: true });
    server.close();
  }
});

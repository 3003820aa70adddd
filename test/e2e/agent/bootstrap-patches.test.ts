import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBootstrapPatchReport } from '../../../src/kit/bootstrap-patch-report.ts';
import { createWorkload, type TestWorkload } from '../../support/agent.ts';
import { envoyPath } from '../../support/envoy.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';

let controlPlane: FakeControlPlane;
let workload: TestWorkload | undefined;

beforeAll(async () => {
  controlPlane = await startFakeControlPlane();
});

afterAll(async () => {
  await workload?.cleanUp();
  await controlPlane?.close();
});

function staticListener(port: number) {
  const echo = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo' };
  return {
    static_resources: {
      listeners: [
        {
          name: `static-${port}`,
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [{ filters: [{ name: 'echo', typed_config: echo }] }],
        },
      ],
    },
  };
}

/** What runs, and what its node says of the patches. */
async function bootstrapOf({ admin }: TestWorkload) {
  const { configs } = JSON.parse(await admin('/config_dump?resource=&mask=bootstrap')) as {
    configs: { bootstrap?: { node: { metadata: Record<string, unknown> } } & Record<string, unknown> }[];
  };
  const bootstrap = configs.find(({ bootstrap: found }) => found)?.bootstrap;
  if (!bootstrap) throw new Error('no bootstrap in the dump');
  return { bootstrap, report: readBootstrapPatchReport(bootstrap.node.metadata) };
}

test('Envoy starts with the patches that it takes, and the node says which it does not and why', async () => {
  const clusters = [{ name: 'xds-grpc', connect_timeout: '1s' }];
  workload = await createWorkload(controlPlane, 'patched', {
    envoy: {
      path: await envoyPath(),
      bootstrapPatches: [
        { id: 'shop/good#0', value: { stats_flush_interval: '2s', stats_eviction_interval: '10s' } },
        { id: 'shop/twice#0', value: { static_resources: { clusters } } },
      ],
    },
  });
  void controlPlane.script('patched-1', { clusters: [], listeners: [] });
  await workload.start();
  await workload.ready();
  const { bootstrap, report } = await bootstrapOf(workload);
  expect(bootstrap.stats_flush_interval).toBe('2s');
  expect(report.applied).toEqual(['shop/good#0']);
  expect(report.refused['shop/twice#0']).toContain('xds-grpc');
  await workload.cleanUp();
});

test('a patch with which Envoy ends at once, though it could read it, is left out the next time', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  try {
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    workload = await createWorkload(controlPlane, 'ending', {
      envoy: {
        path: await envoyPath(),
        bootstrapPatches: [{ id: 'shop/taken#0', value: staticListener(port) }],
      },
    });
    void controlPlane.script('ending-1', { clusters: [], listeners: [] });
    await workload.start();
    await workload.ready();
    const { report } = await bootstrapOf(workload);
    expect(report.applied).toEqual([]);
    expect(report.refused['shop/taken#0']).toContain('Address already in use');
    await workload.cleanUp();
  } finally {
    taken.close();
  }
});

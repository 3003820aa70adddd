// A real ZooKeeper behind two real sidecars: nightly, as it needs a Java machine.
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startCompiledMesh } from '../../support/compiled-mesh.ts';
import { freePorts } from '../../support/ports.ts';
import { openSession, startZooKeeper, zookeeperServer } from '../../support/protocols/zookeeper.ts';
import { waitFor } from '../../support/wait-for.ts';

const runs = process.env.OSTRIA_NIGHTLY === '1' && existsSync(zookeeperServer);

test.skipIf(!runs)('ZooKeeper: sessions and reads pass, and the filter counts them', async () => {
  const [local = 0, inbound = 0, app = 0] = await freePorts(3);
  const stop = await startZooKeeper(app);
  const mesh = await startCompiledMesh(
    `
apiVersion: v1
kind: Service
metadata: {name: zk}
spec: {clusterIP: 10.1.0.1, selector: {app: zk}, ports: [{name: zookeeper, port: 2181}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: zk-0}
spec: {address: 127.0.0.1, labels: {app: zk, security.istio.io/tlsMode: istio}, ports: {zookeeper: ${inbound}}}
`,
    { defaultMtlsMode: 'STRICT' },
  );
  try {
    const host = 'zk.default.svc.cluster.local';
    const client = await mesh.envoy({
      name: 'client',
      metadata: { OSTRIA_CAPTURE: { outbound: { [`${host}:2181`]: local }, inbound: [], httpProxy: 0 } },
    });
    await mesh.envoy({
      name: 'zk-0',
      metadata: {
        OSTRIA_CAPTURE: {
          outbound: {},
          inbound: [{ servicePort: 2181, listen: inbound, app }],
          httpProxy: 0,
        },
      },
    });
    await waitFor('a session through the sidecars', () =>
      openSession(local).then(
        () => true,
        () => false,
      ),
    );
    expect(await openSession(local)).toBeGreaterThan(0);
    const counter = `outbound|2181||${host}.zookeeper.getchildren_rq`;
    await waitFor('the filter to count', async () => (await client.stat(counter)) >= 1);
    expect(mesh.refusals).toEqual([]);
  } finally {
    await mesh.stop();
    await stop();
  }
});

// An agent that answers its workload's DNS: names of the mesh by their virtual addresses, also when the control plane is gone.
import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createWorkload, type TestWorkload } from '../../support/agent.ts';
import { type OwnControlPlane, startOwnControlPlane } from '../../support/own-control-plane.ts';
import { freePorts } from '../../support/ports.ts';

let controlPlane: OwnControlPlane;
let workload: TestWorkload | undefined;
let dnsPort: number;

beforeAll(async () => {
  controlPlane = await startOwnControlPlane();
  await controlPlane.apply(objects);
  [dnsPort = 0] = await freePorts(1);
  workload = await createWorkload(controlPlane, 'web', {
    ports: { dns: dnsPort },
    // Nobody redirects connections here: the listeners stand beside those of other tests.
    capture: { outbound: {}, inbound: [], httpProxy: 0 },
    addresses: ['127.0.0.1', '::1'],
  });
  await workload.start();
});

afterAll(async () => {
  await workload?.cleanUp();
  await controlPlane?.stop();
});

const objects = `
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: default}
spec: {clusterIP: 10.1.0.1, selector: {app: orders}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-1, namespace: default}
spec: {address: 192.0.2.10, labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: default}
spec:
  hosts: [api.payments.example]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wiki, namespace: default}
spec:
  hosts: ["*.wiki.example"]
  addresses: [10.8.0.1]
  resolution: STATIC
  endpoints: [{address: 192.0.2.12}]
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hidden, namespace: other}
spec:
  hosts: [hidden.example]
  exportTo: ["."]
  addresses: [10.9.9.9]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 192.0.2.11}]
`;

async function find(name: string, family: 4 | 6 = 4): Promise<string[] | string> {
  const resolver = new Resolver({ timeout: 10_000, tries: 2 });
  resolver.setServers([`127.0.0.1:${dnsPort}`]);
  try {
    return await (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  }
}

const settled = { timeout: 60_000, interval: 500 };

test('names mean what they mean to the workload', async () => {
  await workload?.ready();
  await expect.poll(() => find('orders.default.svc.cluster.local'), settled).toEqual(['10.1.0.1']);
  expect(await find('orders')).toEqual(['10.1.0.1']);
  expect(await find('orders.default')).toEqual(['10.1.0.1']);
  expect(await find('orders', 6)).toBe('ENODATA');
  expect(await find('db.default.svc')).toEqual(['192.0.2.10']);
  // Addresses that the mesh gave them.
  expect(await find('api.payments.example')).toEqual([expect.stringMatching(/^240\.240\./)]);
  expect(await find('api.payments.example', 6)).toEqual([expect.stringMatching(/^2001:2:/)]);
  expect(await find('en.wiki.example')).toEqual(['10.8.0.1']);
  // Of another namespace, which keeps it to itself.
  expect(await find('hidden.example')).not.toContain('10.9.9.9');
});

test('what changes in the mesh is answered soon; what was known, also without a control plane and after a restart', async () => {
  await controlPlane.apply(
    objects.replace('192.0.2.10', '192.0.2.20').split('---\n').slice(2, 3).join('---\n'),
  );
  await expect.poll(() => find('db'), settled).toEqual(['192.0.2.20']);
  await controlPlane.kill();
  expect(await find('orders')).toEqual(['10.1.0.1']);
  workload?.kill('SIGTERM');
  expect(await workload?.exited()).toBe(0);
  await workload?.start();
  await expect.poll(() => find('orders'), settled).toEqual(['10.1.0.1']);
  expect(await find('db')).toEqual(['192.0.2.20']);
});

// Virtual machines: agents of ours in network namespaces, whose traffic is led through their Envoys, as docs/guides/redirect-capture.md has it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWire, type Wire, whyNoNetns } from '../../support/netns.ts';
import { type OwnControlPlane, startOwnControlPlane } from '../../support/own-control-plane.ts';
import { createVmAgent, type VmAgent } from '../../support/vm-agent.ts';

const why = whyNoNetns();
const xds = 15_012;
const patient = { timeout: 60_000, interval: 200 };

const service = (name: string, side: number): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  clusterIPs: [10.1.0.${side + 1}, 'fd01::${side + 1}']
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  selector: {app: ${name}}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ${name}}
spec:
  metadata: {labels: {app: ${name}}}
  template: {serviceAccount: ${name}, labels: {app: ${name}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  rules:
  - from: [{source: {principals: ['cluster.local/ns/default/sa/${name === 'web' ? 'reviews' : 'web'}']}}]
---
`;

describe.skipIf(why !== undefined)(`agents on machines${why === undefined ? '' : ` (${why})`}`, () => {
  let wire: Wire;
  let controlPlane: OwnControlPlane;
  const agents: VmAgent[] = [];

  beforeAll(async () => {
    wire = await openWire({ excludeInboundPorts: [xds] });
    controlPlane = await startOwnControlPlane({
      prefix: wire.prefix(1),
      host: wire.addresses[1],
      port: xds,
    });
    for (const side of [0, 1] as const) await wire.serve(side, ['8080', '9000', '5353']);
    await controlPlane.apply(`${service('web', 0)}${service('reviews', 1)}
apiVersion: v1
kind: Service
metadata: {name: six}
spec: {clusterIP: 'fd01::6', ipFamilies: [IPv6], selector: {app: six}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: six-1}
spec: {address: '${wire.addresses6[1]}', labels: {app: six}, serviceAccount: reviews}
`);
    for (const [side, name] of [
      [0, 'web'],
      [1, 'reviews'],
    ] as const) {
      const agent = await createVmAgent(controlPlane, wire.proxyPrefix(side), {
        workload: `${name}-1`,
        serviceAccount: name,
        labels: { app: name },
        group: name,
        addresses: [wire.addresses[side], wire.addresses6[side]],
        controlPlane: `${wire.addresses[1]}:${xds}`,
      });
      agents.push(agent);
      await agent.start();
    }
  }, 120_000);

  afterAll(async () => {
    for (const agent of agents) await agent.cleanUp();
    await controlPlane?.stop();
    wire?.close();
  });

  const get = (side: 0 | 1, address: string, host: string, asProxy = false) =>
    wire.call(side, ['get', `http://${address}/hello`, host], asProxy);
  const callerSeen = ({ body }: Record<string, unknown>): string =>
    (JSON.parse(body as string) as { headers: Record<string, string> }).headers['x-forwarded-client-cert'] ??
    '';

  test('applications that know of nothing call each other by mutual TLS, in both directions', async () => {
    await expect.poll(() => get(0, '10.1.0.2', 'reviews').then(({ status }) => status), patient).toBe(200);
    const there = await get(0, '10.1.0.2', 'reviews');
    expect(callerSeen(there)).toContain('URI=spiffe://cluster.local/ns/default/sa/web');
    await expect.poll(() => get(1, '10.1.0.1', 'web').then(({ status }) => status), patient).toBe(200);
    expect(callerSeen(await get(1, '10.1.0.1', 'web'))).toContain(
      'URI=spiffe://cluster.local/ns/default/sa/reviews',
    );
    // A call to the own service goes through the own proxy: whom the policy does not name is refused. Plaintext is no way around it.
    expect((await get(1, '10.1.0.2', 'reviews')).status).toBe(403);
    expect((await get(0, `${wire.addresses[1]}:8080`, 'reviews', true)).status).toBeUndefined();
  });

  test('IPv6: to a virtual address, and to a workload that has none else', async () => {
    expect(callerSeen(await get(0, '[fd01::2]', 'reviews'))).toContain('sa/web');
    await expect.poll(() => get(0, '[fd01::6]', 'six').then(({ status }) => status), patient).toBe(200);
    expect(callerSeen(await get(0, '[fd01::6]', 'six'))).toContain('sa/web');
    expect((await get(0, `[${wire.addresses6[1]}]:8080`, 'six', true)).status).toBeUndefined();
  });

  test('a killed agent stops no traffic, and the next one takes its Envoy over', async () => {
    const envoys = agents.map((agent) => agent.envoyId());
    for (const agent of agents) await agent.kill();
    for (let calls = 0; calls < 5; calls++) expect((await get(0, '10.1.0.2', 'reviews')).status).toBe(200);
    for (const agent of agents) await agent.start();
    for (const agent of agents)
      await expect.poll(() => agent.log(), patient).toContain('adopted the running Envoy');
    expect(agents.map((agent) => agent.envoyId())).toEqual(envoys);
    expect((await get(0, '10.1.0.2', 'reviews')).status).toBe(200);
  });

  test('what the machines are is known: entries of their groups', async () => {
    const shown = await controlPlane.ostria('get', 'workloadentries', '-o', 'name');
    expect(shown).toContain('web-1');
    expect(shown).toContain('reviews-1');
  });
});

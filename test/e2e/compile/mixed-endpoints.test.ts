// A service whose endpoints take mTLS gets one that does not, and loses it again, while requests that are never sent twice go on.
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call } from '../../support/http-echo.ts';
import { startLoad } from '../../support/load.ts';
import { freePorts } from '../../support/ports.ts';

/** How often the plaintext endpoint joins and leaves. */
const rounds = 30;
const fqdn = 'reviews.shop.svc.cluster.local';
const apps: Server[] = [];
let mesh: CompiledMesh;
let client: TestEnvoy;
let via: number;
let plain: number;

const copy = (name: string, port: number, mtls: boolean) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: shop}
spec:
  address: 127.0.0.1
  ports: {http: ${port}}
  labels: {app: reviews, version: v1}
  ${mtls ? 'serviceAccount: reviews' : ''}
`;

/** Connections end when the proxy ends them: a server that does it by its own clock may meet a request on its way. */
async function serve(body: string, port: number): Promise<void> {
  const server = createServer({ keepAliveTimeout: 0 }, (_, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  apps.push(server);
}

beforeAll(async () => {
  const [listen, application, ...others] = (await freePorts(4)) as [number, number, number, number];
  [via, plain] = others;
  await serve('secured', application);
  await serve('plain', plain);
  mesh = await startCompiledMesh(`
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - retries: {attempts: 0}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 50}
    - {destination: {host: reviews}, weight: 50}
---${copy('reviews-v1', listen, true)}`);
  await mesh.envoy(
    {
      name: 'reviews-v1',
      namespace: 'shop',
      labels: { app: 'reviews' },
      metadata: {
        OSTRIA_CAPTURE: {
          outbound: {},
          inbound: [{ servicePort: 9080, listen, app: application, protocol: 'http' }],
          httpProxy: 0,
        },
      },
    },
    { serviceAccount: 'reviews' },
  );
  client = await mesh.envoy({
    name: 'web',
    namespace: 'shop',
    metadata: { OSTRIA_CAPTURE: { outbound: { [`${fqdn}:9080`]: via }, inbound: [], httpProxy: 0 } },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const app of apps) app.close();
});

test(`a plaintext endpoint joins and leaves ${rounds} times: no request is lost`, async () => {
  await expect.poll(() => call(via).then(({ status }) => status)).toBe(200);
  const load = startLoad(`http://127.0.0.1:${via}/`, { perSecond: 300 });
  try {
    await load.goesOn(10, 'secured');
    for (let round = 0; round < rounds; round++) {
      mesh.apply(copy('reviews-plain', plain, false));
      await load.goesOn(5, 'plain');
      mesh.apply('', ['WorkloadEntry/shop/reviews-plain']);
      await load.goesOn(15, 'secured');
    }
  } finally {
    await load.stop();
  }
  const counts: Record<string, number> = {};
  for (const why of load.result.failures) counts[why] = (counts[why] ?? 0) + 1;
  expect(counts).toEqual({});
  expect(load.result.answered).toBe(load.result.requests);
  expect(await rejectedUpdates(client)).toBe(0);
});

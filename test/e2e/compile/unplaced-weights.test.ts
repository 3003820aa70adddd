// A filter that has Envoy choose among places, where endpoints have none: the simulator and Envoy must agree.
import type { Server } from 'node:http';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { endpointChances } from '../../../src/simulate/endpoints.ts';
import { typeUrls } from '../../../src/snapshot/resource.ts';
import { type CompiledMesh, startCompiledMesh } from '../../support/compiled-mesh.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const name = 'outbound|80||app.default.svc.cluster.local';
const apps: Server[] = [];
let mesh: CompiledMesh;
let outbound = 0;

beforeAll(async () => {
  const [out = 0, one = 0, two = 0] = await freePorts(3);
  outbound = out;
  for (const [index, port] of [one, two].entries()) apps.push(await startEcho(`${index}`, port));
  const entry = (port: number): string => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-${port}}
spec: {address: 127.0.0.1, ports: {http: ${port}}, labels: {app: app}}
`;
  mesh = await startCompiledMesh(
    `
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {clusterIP: 10.1.0.1, selector: {app: app}, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: by-place}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {name: '${name}'}}
    patch: {operation: MERGE, value: {common_lb_config: {locality_weighted_lb_config: {}}}}
${entry(one)}${entry(two)}`,
  );
  await mesh.envoy({
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: { 'app.default.svc.cluster.local:80': outbound },
        inbound: [],
        httpProxy: 0,
      },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const app of apps) app.close();
});

test('where no place has a weight, all endpoints are used', async () => {
  const [id = ''] = mesh.engine.proxies.keys();
  const cluster = mesh.engine.resources(id, typeUrls.cluster).get(name);
  const endpoints = mesh.engine.resources(id, typeUrls.endpoints).get(name);
  if (!cluster || !endpoints) throw new Error('nothing was compiled');
  const decoded = fromBinary(ClusterSchema, cluster.bytes);
  expect(decoded.commonLbConfig?.localityConfigSpecifier.case).toBe('localityWeightedLbConfig');
  const assignment = fromBinary(ClusterLoadAssignmentSchema, endpoints.bytes);
  expect(endpointChances(decoded, assignment).map(({ share }) => share)).toEqual([0.5, 0.5]);
  // 64 calls to one of two: one in 2^63 such runs would see one alone, were they drawn; they take turns.
  const seen = new Set<string>();
  for (let calls = 0; calls < 64; calls++) seen.add(parseEcho(await call(outbound, '/')).version);
  expect([...seen].sort()).toEqual(['0', '1']);
});

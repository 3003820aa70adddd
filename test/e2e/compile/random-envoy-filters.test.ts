import type { Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { validateEnvoyFilter } from '../../../src/config/kinds/istio/validate-envoy-filter.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import type { ConfigChange } from '../../../src/config/sources/source.ts';
import { FilterQuarantine } from '../../../src/control-plane/filter-quarantine.ts';
import { type CompiledMesh, startCompiledMesh } from '../../support/compiled-mesh.ts';
import { envoyFilterSpec } from '../../support/envoy-filter-arbitrary.ts';
import { call, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { fc, seed } from '../../support/properties.ts';
import { waitFor } from '../../support/wait-for.ts';

const steps = Number(process.env.OSTRIA_RANDOM_FILTERS ?? 150);
const host = (name: string) => `${name}.default.svc.cluster.local`;

let mesh: CompiledMesh;
let app: Server;
let ports: number[];
let quarantine: FilterQuarantine;
/** What was left out, for the message of a failure. */
const story: string[] = [];

const service = (name: string, port: number, backend: number) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: 10.1.0.${port % 100}, ports: [{name: http, port: ${port}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, labels: {kubernetes.io/service-name: ${name}}}
ports: [{name: http, port: ${backend}}]
endpoints: [{addresses: [127.0.0.1]}]
---`;

beforeAll(async () => {
  ports = await freePorts(4);
  const [shop, steady, backend] = ports as [number, number, number];
  app = await startEcho('app', backend);
  mesh = await startCompiledMesh(`${service('shop', 8_001, backend)}${service('steady', 8_002, backend)}`);
  quarantine = new FilterQuarantine({
    apply: (changes) => mesh.change(changes),
    compile: mesh.engine,
    settled: () => Promise.resolve(),
    log: { info: (line) => void story.push(line) },
  });
  quarantine.follow(mesh.ledger);
  await mesh.envoy({
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: { [`${host('shop')}:8001`]: shop, [`${host('steady')}:8002`]: steady },
        inbound: [],
        httpProxy: 0,
      },
    },
  });
  for (const port of [shop, steady])
    await waitFor('the mesh serves', async () => (await call(port)).status === 200);
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
});

function put(name: string, spec: object | undefined): void {
  const key = `default/${name}`;
  const object: ConfigObject | undefined = spec && {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name, namespace: 'default' },
    spec,
  };
  const change: ConfigChange = {
    group: 'networking.istio.io',
    kind: 'EnvoyFilter',
    key,
    ...(object ? { object } : {}),
  };
  mesh.change([{ kind: 'EnvoyFilter', key, value: object }]);
  quarantine.observe([change]);
}

/** Everything is sent and answered, and nothing that was refused is still waited for; says what is not. */
function isSettled(): boolean {
  const open = mesh.ledger
    .snapshot()
    .flatMap(({ types }) => types)
    .filter(({ state, rejected }) => state === 'STALE' || rejected.length > 0)
    .map(({ typeUrl, state, rejected }) => ({ typeUrl, state, rejected }));
  if (open.length > 0) throw new Error(`${JSON.stringify(open)}; ${story.slice(-6).join('; ')}`);
  return true;
}

test('whatever people patch, Envoy ends up with a configuration that it takes, and other routes serve', async () => {
  const scope = { host: host('shop'), port: 8_001, freePort: ports[3] as number };
  const specs = fc.sample(envoyFilterSpec(scope), { numRuns: steps, seed });
  let admitted = 0;
  for (const [index, spec] of specs.entries()) {
    const problems = validateEnvoyFilter({
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'EnvoyFilter',
      metadata: { name: 'x', namespace: 'default' },
      spec,
    }).filter(({ severity }) => severity === 'error');
    if (problems.length > 0) continue;
    admitted++;
    // Four names: filters meet each other, are replaced, and go.
    const name = `filter-${index % 4}`;
    put(name, index % 7 === 6 ? undefined : spec);
    const what = `step ${index} (seed ${seed}): ${JSON.stringify(spec)}`;
    await waitFor(`${what}: settled`, () => isSettled());
    expect((await call(ports[1] as number)).status, what).toBe(200);
  }
  expect(admitted).toBeGreaterThan(steps / 2);
  expect(mesh.refusals.length).toBeGreaterThan(5);
  for (let index = 0; index < 4; index++) put(`filter-${index}`, undefined);
  await waitFor('shop serves again', async () => (await call(ports[0] as number)).status === 200);
}, 240_000);

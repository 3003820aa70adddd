import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAgentConfig } from '../../agent/agent-config.ts';
import { proxySettings } from '../../control-plane/proxy-settings/proxy-settings.ts';
import type { MeshFile } from '../mesh-file/mesh-file.ts';
import { parseMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { PortBook } from '../state/port-book.ts';
import { statePaths } from '../state/state-directory.ts';
import { instanceObjects, instanceStatuses, sharedObjects } from './mesh-objects.ts';
import { type InstancePlan, loopbacks, planMesh } from './mesh-plan.ts';
import { agentConfig, appEnvironment } from './process-specs.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-plan-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function mesh(text: string): MeshFile {
  const result = parseMeshFile(text, join(scratch, 'mesh.yaml'), {});
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.mesh;
}

const plan = (text: string) => planMesh(mesh(text), new PortBook(join(scratch, 'ports.json'), 15_000));

function find(instances: readonly InstancePlan[], name: string): InstancePlan {
  const found = instances.find((instance) => instance.name === name);
  if (!found) throw new Error(`${name} is not planned`);
  return found;
}

const shop = `
name: shop
services:
  web: { command: web, ports: [80] }
  cart-v1: { service: cart, command: cart, ports: [{ published: 7000, name: grpc-api, protocol: grpc }, 8000], replicas: 2 }
  far: { command: far, namespace: other, ports: [90] }
  job: { command: job }
`;

test('an application finds its ports and the others, by Kubernetes’ convention and as a whole', async () => {
  const { instances } = await plan(shop);
  const web = find(instances, 'web-0');
  const { outbound } = web.capture;
  expect(Object.keys(outbound).sort()).toEqual([
    'cart.default.svc.cluster.local:7000',
    'cart.default.svc.cluster.local:8000',
    'far.other.svc.cluster.local:90',
    'web.default.svc.cluster.local:80',
  ]);
  const cart = outbound['cart.default.svc.cluster.local:7000'];
  expect(web.environment).toMatchObject({
    PORT: String(web.appPort),
    PORT_HTTP: String(web.appPort),
    HOSTNAME: 'web-0',
    CART_SERVICE_HOST: '127.0.0.1',
    CART_SERVICE_PORT: String(cart),
    CART_SERVICE_PORT_GRPC_API: String(cart),
    CART_SERVICE_PORT_HTTP: String(outbound['cart.default.svc.cluster.local:8000']),
    CART_URL: `http://127.0.0.1:${cart}`,
    HTTP_PROXY: `http://127.0.0.1:${web.capture.httpProxy}`,
    NO_PROXY: 'localhost,127.0.0.1,::1',
  });
  // Of another namespace: by its name through the proxy only, as short names go in Kubernetes.
  expect(web.environment).not.toHaveProperty('FAR_URL');
  expect(find(instances, 'job-0')).toMatchObject({ appPort: 0, endpoints: [], service: '' });
  expect(find(instances, 'job-0').environment).not.toHaveProperty('PORT');
});

test('every port is its own, and stays when the mesh changes', async () => {
  const first = await plan(shop);
  const all = first.instances.flatMap(({ capture, readinessPort, metricsPort }) => [
    readinessPort,
    metricsPort,
    ...(capture.httpProxy > 0 ? [capture.httpProxy] : []),
    ...Object.values(capture.outbound),
    ...Object.values(capture.gateway ?? {}),
    ...capture.inbound.flatMap(({ listen, app }) => [listen, app]),
  ]);
  expect(new Set(all).size).toBe(all.length);
  const second = await plan(shop.replace('web: {', 'new: { command: new, ports: [1] }\n  web: {'));
  for (const { name, capture } of first.instances.filter(({ workload }) => workload))
    expect(find(second.instances, name).capture).toMatchObject({
      inbound: capture.inbound,
      outbound: capture.outbound,
      httpProxy: capture.httpProxy,
    });
});

test('a program that insists on a port has it; what the user set wins', async () => {
  const { instances } = await plan(
    'services:\n  web: { command: w, ports: ["80:3000"], environment: { PORT: mine, WEB_URL: own } }\n',
  );
  const web = find(instances, 'web-0');
  expect(web.capture.inbound).toMatchObject([{ servicePort: 80, app: 3000, protocol: 'http' }]);
  expect(web.environment).toMatchObject({ PORT: 'mine', WEB_URL: 'own' });
});

test('gateways map the ports that Gateways name to ports of this machine', async () => {
  const { instances } = await plan('gateways: { edge: { ports: [8080, "18443:443"] } }\nservices: {}\n');
  expect(find(instances, 'edge').capture).toEqual({
    outbound: {},
    inbound: [],
    gateway: { '443': 18_443, '8080': 23_080 },
    httpProxy: 0,
  });
});

test('agents take what they are given', async () => {
  const planned = await plan(shop);
  const paths = statePaths('/state/shop');
  const config = {
    schemaVersion: 1,
    meshFile: '',
    profiles: [],
    envoyPath: '/envoy',
    controlPlaneFlags: [],
    watch: false,
  } as const;
  const settings = proxySettings(
    {
      mesh: { concurrency: 0, drainDuration: '7s', proxyStatsMatcher: { inclusionPrefixes: ['http.'] } },
      rootNamespace: 'istio-system',
      proxyConfigs: [],
    },
    { namespace: 'default', labels: {} },
  );
  for (const instance of planned.instances) {
    const parsed = parseAgentConfig(agentConfig(instance, planned, paths, config, settings));
    expect(parsed).toMatchObject({
      ok: true,
      config: {
        workload: instance.name,
        capture: instance.capture,
        envoy: { concurrency: 0, drainSeconds: 7, stats: { prefixes: ['http.'] } },
        drain: { seconds: 10 },
      },
    });
  }
  const { environment, inherited } = appEnvironment(find(planned.instances, 'web-0'), paths);
  expect(environment.OSTRIA_MESH_STATE).toBe('/state/shop');
  expect(inherited).not.toContain('PORT');
  expect(Object.keys(environment).filter((name) => name.startsWith('npm_'))).toEqual([]);
});

test('the objects of a mesh, and what makes an instance an endpoint', async () => {
  const { mesh: file, instances } = await plan(shop);
  expect(
    sharedObjects(file, instances).map(
      ({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
    ),
  ).toEqual([
    'Namespace /default',
    'Namespace /other',
    'Namespace /istio-system',
    'ServiceAccount default/web',
    'ServiceAccount default/cart',
    'ServiceAccount other/far',
    'ServiceAccount default/job',
    'ServiceAccount istio-system/istio-ingressgateway-service-account',
    'Service default/web',
    'Service default/cart',
    'Service other/far',
    'Service istio-system/istio-ingressgateway',
  ]);
  const cart = find(instances, 'cart-v1-1');
  const [pod, entry] = instanceObjects(cart);
  expect(pod).toMatchObject({
    kind: 'Pod',
    metadata: { name: 'cart-v1-1', labels: { app: 'cart', version: 'v1' } },
  });
  expect(entry).toMatchObject({
    kind: 'WorkloadEntry',
    metadata: { annotations: { 'proxy.istio.io/health-checks-enabled': 'true' } },
    spec: {
      address: '127.0.0.1',
      serviceAccount: 'cart',
      ports: { 'grpc-api': cart.capture.inbound[0]?.listen, http: cart.capture.inbound[1]?.listen },
    },
  });
  const health = {
    ...{ ready: false, why: 'no', since: '2026-01-01T00:00:00Z', restarts: 2, startedAt: '' },
    proxyNotes: ['tracing of its annotation is not acted on'],
  };
  expect(instanceStatuses(cart, health)[0]?.status).toMatchObject({
    conditions: expect.arrayContaining([
      expect.objectContaining({ type: 'ostria.io/ProxySettings', message: health.proxyNotes[0] }),
    ]),
  });
  expect(instanceStatuses(cart, health)[1]?.status).toEqual({
    conditions: [
      {
        type: 'Healthy',
        status: 'False',
        reason: 'NotReady',
        message: 'no',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  });
  // A program that serves nothing is a pod, and no endpoint.
  expect(instanceObjects(find(instances, 'job-0')).map(({ kind }) => kind)).toEqual(['Pod']);
});

test('the loopback addresses of a mesh: IPv4 unless it says otherwise, the first is the one that applications are told', async () => {
  const usual = find((await plan(shop)).instances, 'web-0');
  expect(usual.capture).not.toHaveProperty('families');
  const { instances } = await plan(`ipFamilies: [IPv6, IPv4]\n${shop}`);
  const web = find(instances, 'web-0');
  expect(web.capture.families).toEqual(['IPv6', 'IPv4']);
  expect(loopbacks(web.capture)).toEqual(['::1', '127.0.0.1']);
  expect(web.environment).toMatchObject({
    CART_SERVICE_HOST: '::1',
    CART_URL: expect.stringMatching(/^http:\/\/\[::1\]:\d+$/),
    HTTP_PROXY: expect.stringMatching(/^http:\/\/\[::1\]:/),
  });
  expect(find(instances, 'istio-ingressgateway').capture.families).toEqual(['IPv6', 'IPv4']);
  const objects = instanceObjects(web);
  expect(objects.find(({ kind }) => kind === 'WorkloadEntry')?.spec).toMatchObject({ address: '::1' });
});

// Tools around a mesh. What istioctl says on the wire to a mesh, request by request; and, where it is there (at night it is built), the program itself.
import { copyFileSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClustersConfigDumpSchema } from '../../../gen/proto/envoy/admin/v3/config_dump_shared_pb.js';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClientConfigSchema } from '../../../gen/proto/envoy/service/status/v3/csds_pb.js';
import { ApiClient } from '../../../src/cli/api/api-client.ts';
import { dumpJson } from '../../../src/control-plane/debug/config-dump.ts';
import { readKubeconfig } from '../../../src/kit/kubeconfig.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { findIstioctl, runIstioctl } from '../../support/istioctl.ts';
import { type ApiCaller, PortForwardClient } from '../../support/port-forward-client.ts';
import { SotwClient } from '../../xds/fake-envoy.ts';

let mesh: HelloMesh;
let admin: ApiCaller;
beforeAll(async () => {
  mesh = await openHelloMesh();
  const { server, ca = '', certificate = '', key = '' } = readKubeconfig(mesh.state('kubeconfig'));
  admin = { url: server, ca, certificatePem: certificate, keyPem: key };
});
afterAll(() => mesh?.close());

const istiod = { namespace: 'istio-system', pod: 'istiod' };

async function tokenOf(namespace: string, audiences: readonly string[]): Promise<string> {
  const { json } = await mesh.client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds: 3600 },
    },
  });
  return (json as { status: { token: string } }).status.token;
}

async function page<T>(caller: ApiCaller, path: string): Promise<T> {
  const client = await PortForwardClient.open(caller, 'websocket', istiod);
  try {
    const { status, body } = await client.get(15014, path);
    if (status !== 200) throw new Error(`${status} ${body}`);
    return JSON.parse(body) as T;
  } finally {
    client.close();
  }
}

function askXds(token: string, typeUrl: string, names: readonly string[] = []) {
  const { ports } = JSON.parse(readFileSync(mesh.state('ports.json'), 'utf8')) as {
    ports: Record<string, number>;
  };
  const client = new SotwClient(ports['control-plane/xds'] as number, {
    tls: { rejectUnauthorized: false },
    headers: { authorization: `Bearer ${token}` },
  });
  client.request(typeUrl, {
    node: { id: 'sidecar~10.0.0.1~.istio-system~istio-system.svc.cluster.local' },
    subscribe: names,
    nonce: String(new Date()),
  });
  return client;
}

test('the control plane is found as a pod, and tells its version there', async () => {
  const query = 'labelSelector=app%3Distiod%2Cistio.io%2Frev%3Ddefault&fieldSelector=status.phase%3DRunning';
  const list = await mesh.client.get<{
    items: { metadata: { name: string }; status: { conditions: object[] } }[];
  }>(`/api/v1/namespaces/istio-system/pods?${query}`);
  expect(list.items.map(({ metadata }) => metadata.name)).toEqual(['istiod']);
  expect(list.items[0]?.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Ready', status: 'True' }),
  );
  expect(await page(admin, '//version')).toMatchObject({
    clientVersion: { version: expect.stringMatching(/^\d/) },
  });
});

test('Kiali finds the control plane as a Deployment, and sidecars by what an injector notes', async () => {
  const query = new URLSearchParams({ labelSelector: 'app=istiod' });
  const { items } = await mesh.client.get<{ items: { metadata: { name: string }; status: object }[] }>(
    `/apis/apps/v1/deployments?${query}`,
  );
  expect(items).toMatchObject([{ metadata: { name: 'istiod' }, status: { availableReplicas: 1 } }]);
  const pod = await mesh.client.get<{ metadata: { annotations: Record<string, string> } }>(
    '/api/v1/namespaces/default/pods/helloworld-v1-0',
  );
  expect(JSON.parse(pod.metadata.annotations['sidecar.istio.io/status'] ?? '')).toMatchObject({
    containers: ['istio-proxy'],
  });
});

interface ScrapedPod {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly name: string; readonly controller?: boolean }[];
  };
  readonly status: { readonly podIP: string };
}

test('Prometheus finds metrics by what pods note, and Kiali those of a workload by its name', async () => {
  const { items } = await mesh.client.get<{ items: ScrapedPod[] }>('/api/v1/pods');
  const scraped = items.filter(({ metadata }) => metadata.annotations?.['prometheus.io/scrape'] === 'true');
  expect(scraped.map(({ metadata }) => metadata.name).sort()).toEqual(
    ['helloworld-v1-0', 'helloworld-v2-0', 'httpbin-0', 'istio-ingressgateway', 'istiod', 'sleep-0'].sort(),
  );
  const metricsOf = async ({ metadata: { annotations = {} }, status }: ScrapedPod): Promise<string> => {
    const path = annotations['prometheus.io/path'] ?? '/metrics';
    const answer = await fetch(`http://${status.podIP}:${annotations['prometheus.io/port']}${path}`);
    expect(answer.status).toBe(200);
    return answer.text();
  };
  await fetch(mesh.httpbinFromSleep);
  const httpbin = scraped.find(({ metadata }) => metadata.name === 'httpbin-0') as ScrapedPod;
  expect(httpbin.metadata.ownerReferences).toMatchObject([{ name: 'httpbin', controller: true }]);
  const reported = 'reporter="destination"';
  const named = async (metric: string): Promise<string | undefined> =>
    (await metricsOf(httpbin))
      .split('\n')
      .find((line) => line.startsWith(`${metric}{`) && line.includes(reported));
  // By what its graph, health and metrics ask for: names, and the labels that they group and select by.
  const labels = [
    ...['cluster', 'workload', 'workload_namespace', 'canonical_service', 'canonical_revision'].flatMap(
      (one) => [`source_${one}`, `destination_${one}`],
    ),
    ...['source_principal', 'destination_principal', 'connection_security_policy', 'request_protocol'],
    ...['destination_service', 'destination_service_name', 'destination_service_namespace', 'response_code'],
    ...['response_flags', 'reporter'],
  ];
  for (const metric of [
    'istio_requests_total',
    'istio_request_duration_milliseconds_bucket',
    'istio_request_duration_milliseconds_sum',
    'istio_request_duration_milliseconds_count',
    'istio_request_bytes_sum',
    'istio_response_bytes_sum',
  ]) {
    await expect.poll(() => named(metric), { timeout: 30_000, interval: 500 }).toBeDefined();
    const line = (await named(metric)) ?? '';
    expect(labels.filter((label) => !line.includes(`${label}="`))).toEqual([]);
    expect(line).toContain('destination_workload="httpbin"');
    expect(line).toContain('source_workload="sleep"');
  }
  for (const pod of scraped) expect(await metricsOf(pod)).toContain('process_resident_memory_bytes');
});

test('Kiali knows which proxies are in sync by the names of their pods', async () => {
  const statuses = await page<Record<string, string>[]>(admin, '/debug/syncz');
  const own = statuses.find(({ proxy }) => proxy === 'helloworld-v1-0.default');
  expect(own).toMatchObject({ cluster_id: 'Kubernetes' });
  for (const type of ['cluster', 'listener', 'route', 'endpoint']) {
    expect(own?.[`${type}_acked`]).toMatch(/./);
    expect(own?.[`${type}_sent`]).toBe(own?.[`${type}_acked`]);
  }
});

test('proxy-status: its token is taken on the xDS port, and every proxy is in sync', async () => {
  const client = askXds(await tokenOf('istio-system', ['istio-ca']), 'istio.io/debug/syncz');
  const { resources, controlPlane } = await client.next();
  await client.close();
  expect(JSON.parse(controlPlane?.identifier ?? '')).toMatchObject({ Component: 'istiod', ID: 'istiod' });
  const names = resources.map(({ value }) => fromBinary(ClientConfigSchema, value).node?.id.split('~')[2]);
  expect(names).toContain('helloworld-v1-0.default');
  expect(names).toContain('istio-ingressgateway.istio-system');
});

test('a token for something else, or of another namespace, is told nothing that is not its own', async () => {
  const wrong = askXds(await tokenOf('istio-system', ['something-else']), 'istio.io/debug/syncz');
  expect((await wrong.trailers).status).toBe('16');
  const own = askXds(await tokenOf('default', ['istio-ca']), 'istio.io/debug/syncz');
  const { resources } = await own.next();
  await own.close();
  const names = resources.map(({ value }) => fromBinary(ClientConfigSchema, value).node?.id.split('~')[2]);
  expect(names).toContain('helloworld-v1-0.default');
  expect(names.filter((name) => !name?.endsWith('.default'))).toEqual([]);
});

test('proxy-status POD: what should be and what Envoy has are the same clusters', async () => {
  const client = askXds(await tokenOf('istio-system', ['istio-ca']), 'istio.io/debug/config_dump', [
    'helloworld-v1-0.default',
  ]);
  const { resources } = await client.next();
  await client.close();
  const wanted = resources
    .flatMap((any) => anyUnpack(any, ClustersConfigDumpSchema)?.dynamicActiveClusters ?? [])
    .flatMap(({ cluster }) => (cluster ? (anyUnpack(cluster, ClusterSchema)?.name ?? []) : []));
  const forward = await PortForwardClient.open(admin, 'spdy', {
    namespace: 'default',
    pod: 'helloworld-v1-0',
  });
  const { body } = await forward.get(
    15000,
    '/config_dump?resource=dynamic_active_clusters&mask=cluster.name',
  );
  forward.close();
  const held = [...body.matchAll(/"name": "([^"]+)"/g)].map(([, name]) => name);
  expect(wanted.length).toBeGreaterThan(3);
  expect([...new Set(held)].sort()).toEqual([...wanted].sort());
});

const subsets = networkingObject('DestinationRule', 'helloworld', {
  host: 'helloworld',
  trafficPolicy: { connectionPool: { http: { http1MaxPendingRequests: 100 } } },
  subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })),
});
const toV2 = networkingObject('VirtualService', 'to-v2', {
  hosts: ['helloworld'],
  http: [{ route: [{ destination: { host: 'helloworld', subset: 'v2' } }] }],
});

/** `filter_metadata.istio` by the names of clusters and virtual hosts, out of either form of JSON. */
function istioMetadata(dump: unknown): Readonly<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  const walk = (value: unknown, name: string): void => {
    if (typeof value !== 'object' || value === null) return;
    const fields = value as Record<string, unknown>;
    const own = typeof fields.name === 'string' && fields.name !== '' ? fields.name : name;
    const metadata = fields.metadata as Record<string, Record<string, unknown>> | undefined;
    const { istio } = metadata?.filter_metadata ?? metadata?.filterMetadata ?? {};
    if (istio !== undefined) found[own] = istio;
    for (const inner of Object.values(fields)) walk(inner, own);
  };
  walk(dump, '');
  return found;
}

test('dumps name the objects behind clusters and routes in Istio’s form, what should be and what Envoy has alike', async () => {
  await mesh.apply(subsets, toV2);
  const path = (type: string, name: string) =>
    `/apis/networking.istio.io/v1/namespaces/default/${type}/${name}`;
  const of = (subset: string) => `outbound|5000|${subset}|helloworld.default.svc.cluster.local`;
  const cluster = {
    config: path('destination-rule', 'helloworld'),
    default_original_port: 5000,
    services: [{ host: 'helloworld.default.svc.cluster.local', name: 'helloworld', namespace: 'default' }],
  };
  const forward = await PortForwardClient.open(admin, 'spdy', { namespace: 'default', pod: 'sleep-0' });
  const dump = async (query: string) =>
    istioMetadata(JSON.parse((await forward.get(15000, `/config_dump${query}`)).body));
  await expect
    .poll(() => dump(''), { timeout: 30_000, interval: 250 })
    .toMatchObject({
      [of('')]: cluster,
      [of('v2')]: { ...cluster, subset: 'v2' },
      'helloworld.default.svc.cluster.local:5000': { config: path('virtual-service', 'to-v2') },
    });
  const held = await dump('');
  expect((await dump('?resource=dynamic_active_clusters'))[of('v2')]).toEqual(held[of('v2')]);
  forward.close();
  const client = askXds(await tokenOf('istio-system', ['istio-ca']), 'istio.io/debug/config_dump', [
    'sleep-0.default',
  ]);
  const { resources } = await client.next();
  await client.close();
  // Envoy has clusters of its bootstrap besides.
  const wanted = istioMetadata(dumpJson(resources));
  expect(wanted).toEqual(Object.fromEntries(Object.entries(held).filter(([name]) => name in wanted)));
  expect(Object.keys(wanted).length).toBeGreaterThan(3);
});

test('pages of the monitoring port have Istio’s fields', async () => {
  const services = await page<{ hostname: string; Attributes: { Name: string; Namespace: string } }[]>(
    admin,
    '/debug/registryz',
  );
  expect(services).toContainEqual(
    expect.objectContaining({
      hostname: 'helloworld.default.svc.cluster.local',
      Attributes: expect.objectContaining({
        Name: 'helloworld',
        Namespace: 'default',
        ServiceRegistry: 'Kubernetes',
      }),
      ports: [{ name: expect.any(String), port: 5000, protocol: 'HTTP' }],
      Resolution: 0,
    }),
  );
  const shards = await page<Record<string, Record<string, { Shards: Record<string, object[]> }>>>(
    admin,
    '/debug/endpointz',
  );
  expect(
    Object.values(shards['helloworld.default.svc.cluster.local']?.default?.Shards ?? {}).flat(),
  ).toHaveLength(2);
  const config = await page<{ kind: string; metadata: { name: string } }[]>(admin, '/debug/configz');
  expect(config.map(({ kind }) => kind)).toContain('Gateway');
  expect(config.map(({ kind }) => kind)).not.toContain('Secret');
  expect(await page(admin, '/debug/mesh')).toMatchObject({
    rootNamespace: 'istio-system',
    trustDomain: 'cluster.local',
  });
  expect(await page(admin, '/debug/instancesz')).toHaveProperty(
    'sidecar~127.0.0.1~helloworld-v1-0.default~default.svc.cluster.local',
  );
  for (const name of await page<string[]>(admin, '/debug/list'))
    await page(admin, `/debug/${name}?proxyID=helloworld-v1-0.default`);
  const dump = await page<{ configs: Record<string, unknown>[] }>(
    admin,
    '/debug/config_dump?proxyID=helloworld-v1-0.default&include_eds',
  );
  expect(dump.configs.map((one) => String(one['@type']).split('.').at(-1))).toContain('EndpointsConfigDump');
});

test('a service account reaches neither pods’ ports nor pages without leave, and of pages its namespace alone with it', async () => {
  const token = await tokenOf('default', []);
  const account: ApiCaller = { url: admin.url, ca: admin.ca, token };
  await expect(PortForwardClient.open(account, 'websocket', istiod)).rejects.toMatchObject({ status: 403 });
  const api = new ApiClient({
    ...readKubeconfig(mesh.state('kubeconfig')),
    certificate: undefined,
    key: undefined,
    token,
  } as never);
  try {
    await expect(api.get('/debug/syncz')).rejects.toMatchObject({ status: 403 });
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'debug-reader' } };
    await mesh.apply(
      {
        ...role,
        kind: 'ClusterRole',
        rules: [
          { nonResourceURLs: ['/debug/*'], verbs: ['get'] },
          { apiGroups: [''], resources: ['pods/portforward'], verbs: ['create'] },
        ],
      },
      {
        ...role,
        kind: 'ClusterRoleBinding',
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'debug-reader' },
        subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: 'default' }],
      },
    );
    const namespacesOf = (statuses: { namespace: string }[]) => [
      ...new Set(statuses.map(({ namespace }) => namespace)),
    ];
    expect(namespacesOf(await api.get('/debug/syncz'))).toEqual(['default']);
    await expect(api.get('/debug/configz')).rejects.toMatchObject({ status: 403 });
    expect(namespacesOf(await page(account, '/debug/syncz'))).toEqual(['default']);
    await expect(page(account, '/debug/registryz')).rejects.toThrow('403');
    await expect(page(account, '/debug/edsz?proxyID=istio-ingressgateway.istio-system')).rejects.toThrow(
      '404',
    );
    await expect(page(account, '/metrics')).rejects.toThrow('404');
  } finally {
    api.close();
  }
});

const real = findIstioctl();
describe.skipIf('missing' in real)('the real istioctl', () => {
  const istioctl = (...args: string[]) =>
    runIstioctl('path' in real ? real.path : '', mesh.state('kubeconfig'), args);
  const pod = 'helloworld-v1-0.default';

  test('version and proxy-status', async () => {
    expect(await istioctl('version')).toMatch(
      /control plane version: \d.*\ndata plane version: .*\(5 proxies\)/,
    );
    const status = await istioctl('proxy-status', '-v', '1');
    expect(status).toMatch(/helloworld-v1-0\.default~.*SYNCED.*istiod/);
    expect(status).not.toMatch(/STALE|ERROR/);
    expect(await istioctl('proxy-status', pod)).toMatch(/Clusters Match\nListeners Match\nRoutes Match/);
  });

  test('proxy-config', async () => {
    await mesh.apply(subsets, toV2);
    const columns = (name: string) => new RegExp(`\\s${name.replaceAll('.', '\\.')} *$`, 'm');
    expect(await istioctl('proxy-config', 'cluster', 'sleep-0.default')).toMatch(
      columns('helloworld.default'),
    );
    expect(await istioctl('proxy-config', 'route', 'sleep-0.default')).toMatch(columns('to-v2.default'));
    expect(await istioctl('experimental', 'describe', 'pod', pod)).toMatch(
      /DestinationRule: helloworld for "helloworld"\s+Matching subsets: v1/,
    );
    expect(await istioctl('proxy-config', 'cluster', pod)).toMatch(
      /httpbin\.default\.svc\.cluster\.local +8000/,
    );
    expect(await istioctl('proxy-config', 'listener', pod)).toContain('Cluster: inbound|5000||');
    expect(await istioctl('proxy-config', 'route', pod)).toContain('http_proxy');
    expect(await istioctl('proxy-config', 'endpoint', pod)).toContain('HEALTHY');
    expect(await istioctl('proxy-config', 'secret', pod)).toMatch(/default +Cert Chain +ACTIVE +true/);
    expect(await istioctl('proxy-config', 'log', pod, '--level', 'http:debug')).toContain('http: debug');
    expect(await istioctl('proxy-config', 'log', pod, '--reset')).toContain('http: warning');
    expect(await istioctl('proxy-config', 'all', pod)).toContain('Envoy Version: 1.40.0');
  });

  test('analyze, validate, describe and internal-debug', async () => {
    expect(await istioctl('analyze')).not.toContain('Error');
    expect(await istioctl('validate', '-f', 'samples/helloworld/gateway.yaml')).toBe('');
    expect(await istioctl('experimental', 'describe', 'pod', pod)).toContain('Service: helloworld');
    expect(await istioctl('experimental', 'describe', 'service', 'helloworld')).toContain('5000/HTTP');
    expect(JSON.parse(await istioctl('experimental', 'internal-debug', 'syncz'))).toHaveLength(5);
    expect(JSON.parse(await istioctl('experimental', 'internal-debug', '--list'))).toContain('registryz');
    expect(await istioctl('experimental', 'authz', 'check', pod)).toContain('AuthorizationPolicy');
  });
});

describe('a report', () => {
  const words = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'words', namespace: 'default' },
    stringData: { word: 'sesame-open-yourself', 'tls.crt': 'a certificate' },
  };
  let file: string;
  beforeAll(async () => {
    await mesh.apply(words);
    file = join(mesh.ostria.home, 'report.tar.gz');
    const { code, stdout, stderr } = await mesh.ostria.run(['bug-report', '--file', file, '-o', 'json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ file, leftOut: [] });
  });

  test('holds no secret, and is its owner’s alone', () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = gunzipSync(readFileSync(file)).toString('latin1');
    for (const secret of [
      'sesame-open-yourself',
      'PRIVATE KEY',
      Buffer.from('sesame-open-yourself').toString('base64'),
    ])
      expect(text).not.toContain(secret);
    expect(text).toContain(Buffer.from('a certificate').toString('base64'));
  });

  test('answers offline as the mesh did', async () => {
    const open = (...args: string[]) => mesh.ostria.run(['open', file, '--', ...args]);
    const same = async (...args: string[]) => {
      const [online, offline] = await Promise.all([mesh.ostria.run(args), open(...args)]);
      expect(offline.stdout, offline.stderr).toBe(online.stdout);
      expect(offline.code).toBe(online.code);
      expect(online.stdout).not.toBe('');
    };
    await Promise.all([
      same('get', 'services', '-A', '-o', 'name'),
      same('proxy-config', 'clusters', 'helloworld-v1-0'),
      same('explain', '--from', 'sleep', 'http://helloworld:5000/hello'),
    ]);
    expect((await open('proxy-status', 'helloworld-v1-0')).stdout).toContain('Cluster: ');
    expect((await open('logs', 'sleep-0')).code).toBe(0);
    expect((await open('ps')).stdout).toContain('helloworld-v1-0');
  });

  test('knows the past, where things stood, and what was found on its machine', async () => {
    const open = (...args: string[]) => mesh.ostria.run(['open', file, '--', ...args]);
    const [past, difference, explained, doctor, change] = await Promise.all([
      open('history', 'gateways'),
      open('diff', '1', '-o', 'json', '--object', 'gateways'),
      open('explain', '--from', 'ingress', 'http://hello.example/hello', '--at', 'now'),
      open('doctor'),
      open('proxy-config', 'log', 'helloworld-v1-0', '--level', 'debug'),
    ]);
    expect(past.stdout, past.stderr).toMatch(/created +Gateway default\/helloworld-gateway +ostria/);
    expect(JSON.parse(difference.stdout)).toMatchObject([{ key: 'default/helloworld-gateway' }]);
    expect(explained.stdout, explained.stderr).toContain('samples/helloworld/gateway.yaml:');
    expect(doctor.stdout).toMatch(/^machine of the report \(linux /);
    expect(change.code).toBe(1);
    expect(change.stderr).toContain('this is a report');
  });

  test('what is no report is refused', async () => {
    const other = join(mesh.ostria.home, 'other.tar.gz');
    writeFileSync(other, 'nothing of the kind');
    const { code, stderr } = await mesh.ostria.run(['open', other, '--', 'ps']);
    expect(code).toBe(3);
    expect(stderr).toContain('is no report of ostria bug-report');
  });
});

test('a mesh on another machine is asked through its API: Envoys, their logs of calls, and a report', async () => {
  const elsewhere = mkdtempSync(join(mesh.ostria.home, 'elsewhere-'));
  const kubeconfig = join(elsewhere, 'kubeconfig');
  copyFileSync(mesh.state('kubeconfig'), kubeconfig);
  const ask = (...args: string[]) => mesh.ostria.run(args, { env: { OSTRIA_HOME: elsewhere } });
  const at = ['--kubeconfig', kubeconfig];
  await fetch(`${mesh.ingress}/nothing-here`);
  const [clusters, status, levels, unknown] = await Promise.all([
    ask('proxy-config', 'clusters', 'helloworld-v1', ...at),
    ask('proxy-status', 'helloworld-v1', ...at),
    ask('proxy-config', 'log', 'helloworld-v1-0', '--level', 'http:warning', '-o', 'json', ...at),
    ask('proxy-config', 'log', 'helloworld-v1-0', '--level', 'nonsense:debug', ...at),
  ]);
  expect(clusters.stdout, clusters.stderr).toContain('httpbin.default.svc.cluster.local');
  expect(status.stdout, status.stderr).toContain('all held as they were sent');
  expect(JSON.parse(levels.stdout)).toMatchObject({ http: 'warning' });
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('Envoy has no logger of that name');
  await expect
    .poll(async () => (await ask('logs', '--failed', ...at)).stdout, { timeout: 30_000, interval: 1_000 })
    .toContain('/nothing-here → 404');
  const file = join(elsewhere, 'report.tar.gz');
  const made = await ask('bug-report', '--file', file, '-o', 'json', ...at);
  expect(JSON.parse(made.stdout), made.stderr).toMatchObject({ leftOut: [] });
});

test('doctor finds nothing wrong with a mesh that is well, and says what is', async () => {
  const checks = async () => {
    const { code, stdout } = await mesh.ostria.run(['doctor', '--mesh', 'hello', '-o', 'json']);
    return {
      code,
      checks: JSON.parse(stdout) as { area: string; name: string; state: string; found: string }[],
    };
  };
  const well = await checks();
  expect(well.checks.filter(({ state }) => state === 'error')).toEqual([]);
  expect(well.code).toBe(0);
  expect(well.checks.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'node',
      'envoy',
      'open files',
      'clock',
      'workloads',
      'proxies',
      'certificates of workloads',
      'root',
    ]),
  );
});

// What the compile alone costs: `node test/bench/compile.ts [--services N] [--proxies N] [--namespaces N]`. Prints JSON.
import { parseArgs } from 'node:util';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import type { Endpoint, MeshService } from '../../src/registry/service.ts';
import { createEngine } from '../../src/snapshot/engine/engine.ts';
import type { Push } from '../../src/snapshot/push.ts';
import type { WorldChange } from '../../src/snapshot/world.ts';
import { makeProxy } from '../golden/mesh.ts';

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '1000' },
    proxies: { type: 'string', default: '500' },
    namespaces: { type: 'string', default: '1' },
  },
});
const count = Number(values.services);
const namespaces = Number(values.namespaces);

function namespaceOf(index: number): string {
  return `ns-${index % namespaces}`;
}

function hostOf(index: number): string {
  return `svc-${index}.${namespaceOf(index)}.svc.cluster.local`;
}

function endpoints(index: number, shift = 0): WorldChange {
  const list: Endpoint[] = Array.from({ length: 5 }, (_, i) => ({
    address: `10.${20 + shift}.${index >> 8}.${(index & 255) ^ i}`,
    port: 9080,
    servicePort: 9080,
    labels: { app: `svc-${index}`, version: i % 2 ? 'v1' : 'v2' },
    locality: '',
    network: '',
    clusterId: 'Kubernetes',
    weight: 0,
    serviceAccount: `svc-${index}`,
    namespace: namespaceOf(index),
    workload: `svc-${index}-${i}`,
    tlsMode: 'istio',
    healthy: true,
    nodeName: '',
  }));
  const value = { hostname: hostOf(index), namespace: namespaceOf(index), endpoints: list };
  return { kind: 'endpoints', key: `${namespaceOf(index)}/${hostOf(index)}`, value };
}

function service(index: number): WorldChange[] {
  const namespace = namespaceOf(index);
  const value: MeshService = {
    hostname: hostOf(index),
    namespace,
    name: `svc-${index}`,
    source: 'kubernetes',
    ports: [{ name: 'http', port: 9080, protocol: 'HTTP' }],
    resolution: 'static',
    external: false,
    addresses: [`10.1.${index >> 8}.${index & 255}`],
    exportTo: ['*'],
    subjectAltNames: [],
    labels: {},
    publishNotReady: false,
    sessionAffinity: false,
    trafficDistribution: 'any',
    createdAt: '',
    origin: { kind: 'Service', namespace, name: `svc-${index}`, path: '' },
  };
  return [{ kind: 'service', key: `${namespace}/${hostOf(index)}`, value }, endpoints(index)];
}

function virtualService(index: number, timeout: string): WorldChange {
  const namespace = namespaceOf(index);
  const value = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `svc-${index}`, namespace },
    spec: {
      hosts: [`svc-${index}`],
      http: [
        {
          match: [{ headers: { 'end-user': { exact: 'jason' } } }],
          route: [{ destination: { host: `svc-${index}`, subset: 'v2' } }],
        },
        { timeout, route: [{ destination: { host: `svc-${index}`, subset: 'v1' } }] },
      ],
    },
  };
  return { kind: 'VirtualService', key: `${namespace}/svc-${index}`, value };
}

function destinationRule(index: number, connections = 100): WorldChange {
  const namespace = namespaceOf(index);
  const value = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: `svc-${index}`, namespace },
    spec: {
      host: `svc-${index}`,
      trafficPolicy: { connectionPool: { tcp: { maxConnections: connections } } },
      subsets: [
        { name: 'v1', labels: { version: 'v1' } },
        { name: 'v2', labels: { version: 'v2' } },
      ],
    },
  };
  return { kind: 'DestinationRule', key: `${namespace}/svc-${index}`, value };
}

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const used = process.cpuUsage(before);
  return Math.round((used.user + used.system) / 10) / 100;
}

const engine = createEngine({ roots: roots.collections });
engine.setMesh(defaultMeshConfig);
const changes: WorldChange[] = [];
for (let i = 0; i < count; i++) {
  changes.push(...service(i));
  if (i % 5 === 0) changes.push(virtualService(i, '5s'), destinationRule(i));
}
const report: Record<string, unknown> = { services: count, proxies: Number(values.proxies), namespaces };
report.loadMs = cpuMs(() => {
  engine.apply(changes);
  engine.flush();
});
report.firstProxyMs = cpuMs(() => engine.connect(makeProxy({ name: 'p-0', namespace: 'ns-0' })));
report.connectAllMs = cpuMs(() => {
  for (let i = 1; i < Number(values.proxies); i++)
    engine.connect(
      makeProxy({
        name: `p-${i}`,
        namespace: namespaceOf(i),
        labels: { app: `app-${i % 100}` },
      }),
    );
});
let pushed: Push | undefined;
engine.onPush((push) => {
  pushed = push;
});
const bytes = () =>
  (pushed?.deltas ?? []).reduce(
    (sum, delta) => sum + delta.upserts.reduce((n, r) => n + r.bytes.length, 0),
    0,
  );
const edit = (name: string, ...edits: WorldChange[]): void => {
  pushed = undefined;
  const ms = cpuMs(() => {
    engine.apply(edits);
    engine.flush();
  });
  report[name] = {
    ms,
    distinctBytes: bytes(),
    upserts: (pushed as Push | undefined)?.deltas.reduce((n, d) => n + d.upserts.length, 0) ?? 0,
  };
};
for (let i = 0; i < 30; i++)
  edit('warmUp', virtualService(5 * i, '6s'), destinationRule(5 * i, 300 + i), endpoints(i, 2));
edit('virtualService', virtualService(5, '6s'));
edit('destinationRule', destinationRule(5, 200));
edit('endpointMove', endpoints(7, 1));
edit('newService', ...service(count));
edit('removeService', ...service(count).map(({ kind, key }) => ({ kind, key, value: undefined })));
const average = (name: string, make: (i: number) => WorldChange[]): void => {
  const rounds = 40;
  const ms = cpuMs(() => {
    for (let i = 0; i < rounds; i++) {
      engine.apply(make(i));
      engine.flush();
    }
  });
  report[`${name}AverageMs`] = Math.round((100 * ms) / rounds) / 100;
};
average('virtualService', (i) => [virtualService(5 * (i + 1), '7s')]);
average('destinationRule', (i) => [destinationRule(5 * (i + 1), 400)]);
average('endpointMove', (i) => [endpoints(i, 3)]);
average('newService', (i) => service(count + 1 + i));
report.meshFieldMs = cpuMs(() => {
  engine.setMesh({ ...defaultMeshConfig, connectTimeout: '7s' });
  engine.flush();
});
report.failures = engine.failures().map((failure) => String(failure.error));
report.stats = engine.stats();
const first = [...engine.proxies.keys()][0] ?? '';
report.bytesPerProxy = Object.fromEntries(
  [
    'cluster.v3.Cluster',
    'endpoint.v3.ClusterLoadAssignment',
    'listener.v3.Listener',
    'route.v3.RouteConfiguration',
    'route.v3.VirtualHost',
  ].map((type) => {
    const all = [...engine.resources(first, `type.googleapis.com/envoy.config.${type}`).values()];
    return [type, { count: all.length, bytes: all.reduce((n, r) => n + r.bytes.length, 0) }];
  }),
);
global.gc?.();
report.memory = Object.fromEntries(
  Object.entries(process.memoryUsage()).map(([name, value]) => [name, Math.round(value / 1e6)]),
);
console.log(JSON.stringify(report, null, 1));

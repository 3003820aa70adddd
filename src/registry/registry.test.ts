import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import type { ConfigObject } from '../config/object.ts';
import { objectKey } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import { defaultMeshConfig, overlayMeshConfig } from './mesh-config.ts';
import { Registry, type RegistryChange } from './registry.ts';
import type { MeshService, ServiceEndpoints } from './service.ts';

const groups: Record<string, string> = {
  Service: '',
  Pod: '',
  Node: '',
  Endpoints: '',
  EndpointSlice: 'discovery.k8s.io',
  ServiceEntry: 'networking.istio.io',
  WorkloadEntry: 'networking.istio.io',
};

function put(
  kind: string,
  name: string,
  rest: Record<string, unknown>,
  meta: Record<string, unknown> = {},
): ConfigChange {
  const object = {
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: 'default', ...meta },
    ...rest,
  } as ConfigObject;
  return { group: groups[kind] ?? '', kind, key: objectKey(object), object };
}

function gone(kind: string, name: string): ConfigChange {
  return { group: groups[kind] ?? '', kind, key: `default/${name}` };
}

const reviews = put('Service', 'reviews', {
  spec: { selector: { app: 'reviews' }, clusterIP: '10.0.0.1', ports: [{ name: 'http', port: 9080 }] },
});

function entry(name: string, app: string, port: number, extra: Record<string, unknown> = {}): ConfigChange {
  return put('WorkloadEntry', name, {
    spec: { address: '127.0.0.1', labels: { app }, serviceAccount: 'sa', ports: { http: port } },
    ...extra,
  });
}

function find<T>(changes: RegistryChange[], kind: string): T | undefined {
  return changes.find((change) => change.kind === kind)?.value as T | undefined;
}

describe('Registry', () => {
  it('makes a service of a Kubernetes Service', () => {
    const service = find<MeshService>(new Registry().apply([reviews]), 'service');
    expect(service).toMatchObject({
      hostname: 'reviews.default.svc.cluster.local',
      resolution: 'static',
      addresses: ['10.0.0.1'],
      ports: [{ name: 'http', port: 9080, protocol: 'HTTP' }],
      origin: { kind: 'Service', name: 'reviews' },
    });
  });

  it('takes endpoints from workload entries that the selector matches, with their port map', () => {
    const registry = new Registry();
    registry.apply([reviews]);
    const set = find<ServiceEndpoints>(
      registry.apply([entry('r1', 'reviews', 20001), entry('x', 'other', 1)]),
      'endpoints',
    );
    expect(set?.endpoints).toMatchObject([
      {
        address: '127.0.0.1',
        port: 20001,
        servicePort: 9080,
        workload: 'r1',
        tlsMode: 'istio',
        serviceAccount: 'sa',
      },
    ]);
    const after = find<ServiceEndpoints>(registry.apply([gone('WorkloadEntry', 'r1')]), 'endpoints');
    expect(after?.endpoints).toEqual([]);
  });

  it('withdraws an entry that reports itself unhealthy, and reports nothing when nothing changed', () => {
    const registry = new Registry();
    registry.apply([reviews, entry('r1', 'reviews', 1)]);
    const sick = entry('r1', 'reviews', 1, {
      status: { conditions: [{ type: 'Healthy', status: 'False' }] },
    });
    expect(find<ServiceEndpoints>(registry.apply([sick]), 'endpoints')?.endpoints[0]?.healthy).toBe(false);
    expect(registry.apply([sick])).toEqual([]);
  });

  it('fills pod facts and the locality in when pod and node come after the slice', () => {
    const registry = new Registry();
    const slice = put(
      'EndpointSlice',
      'reviews-1',
      {
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 9080 }],
        endpoints: [{ addresses: ['10.1.0.1'], targetRef: { kind: 'Pod', name: 'p' } }],
      },
      { labels: { 'kubernetes.io/service-name': 'reviews' } },
    );
    registry.apply([reviews, slice]);
    const pod = put(
      'Pod',
      'p',
      { spec: { nodeName: 'n', serviceAccountName: 'bookinfo' }, status: { podIP: '10.1.0.1' } },
      { labels: { version: 'v1', 'security.istio.io/tlsMode': 'istio' } },
    );
    expect(find<ServiceEndpoints>(registry.apply([pod]), 'endpoints')?.endpoints[0]).toMatchObject({
      serviceAccount: 'bookinfo',
      labels: { version: 'v1' },
      tlsMode: 'istio',
      locality: '',
    });
    const owned = (kind: string, name: string) =>
      find<ServiceEndpoints>(
        registry.apply([
          put(
            'Pod',
            'p',
            { spec: { nodeName: 'n', serviceAccountName: 'bookinfo' }, status: { podIP: '10.1.0.1' } },
            {
              labels: { 'pod-template-hash': '7d4f8c' },
              ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: 'u', controller: true }],
            },
          ),
        ]),
        'endpoints',
      )?.endpoints[0]?.controller;
    expect(owned('ReplicaSet', 'reviews-v1-7d4f8c')).toBe('reviews-v1');
    expect(owned('StatefulSet', 'reviews-db')).toBe('reviews-db');
    expect(owned('Job', 'report-29384100')).toBe('report');
    const node = put(
      'Node',
      'n',
      {},
      {
        namespace: '',
        labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'a' },
      },
    );
    expect(find<ServiceEndpoints>(registry.apply([node]), 'endpoints')?.endpoints[0]?.locality).toBe('eu/a');
  });

  it('gives a DNS service entry without endpoints its host as the endpoint', () => {
    const change = put('ServiceEntry', 'web', {
      spec: {
        hosts: ['example.com'],
        ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
        resolution: 'DNS',
      },
    });
    const changes = new Registry().apply([change]);
    expect(find<ServiceEndpoints>(changes, 'endpoints')?.endpoints).toMatchObject([
      { address: 'example.com', port: 443 },
    ]);
    expect(find<MeshService>(changes, 'service')?.external).toBe(true);
  });

  it('writes addresses in their one form, and makes one endpoint of a dual-stack pod', () => {
    const registry = new Registry();
    const six = put('ServiceEntry', 'six', {
      spec: {
        hosts: ['six.test'],
        addresses: ['2001:DB8:0:0::1', '2001:db8:0:1::/64'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: 'FD00:0:0::9' }],
      },
    });
    const changes = registry.apply([six]);
    expect(find<MeshService>(changes, 'service')?.addresses).toEqual(['2001:db8::1', '2001:db8:0:1::/64']);
    expect(find<ServiceEndpoints>(changes, 'endpoints')?.endpoints[0]?.address).toBe('fd00::9');
    const slice = (name: string, address: string) =>
      put(
        'EndpointSlice',
        name,
        {
          ports: [{ name: 'http', port: 9080 }],
          endpoints: [{ addresses: [address], targetRef: { kind: 'Pod', name: 'p' } }],
        },
        { labels: { 'kubernetes.io/service-name': 'reviews' } },
      );
    const pod = put('Pod', 'p', {
      spec: {},
      status: { podIP: 'fd00::1', podIPs: [{ ip: 'fd00::1' }, { ip: '10.1.0.1' }] },
    });
    const found = registry.apply([reviews, slice('four', '10.1.0.1'), slice('six', 'fd00:0::1'), pod]);
    const sets = found.filter(({ kind }) => kind === 'endpoints').map(({ value }) => value);
    expect((sets.at(-1) as ServiceEndpoints).endpoints).toMatchObject([
      { address: 'fd00::1', additionalAddresses: ['10.1.0.1'] },
    ]);
  });

  it('lets the oldest of two entries define a host, and the other when it goes', () => {
    const registry = new Registry();
    const make = (name: string, time: string, resolution: string) =>
      put(
        'ServiceEntry',
        name,
        { spec: { hosts: ['a.test'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution } },
        { creationTimestamp: time },
      );
    const old = make('old', '2020-01-01T00:00:00Z', 'DNS');
    expect(
      find<MeshService>(registry.apply([make('new', '2021-01-01T00:00:00Z', 'NONE'), old]), 'service')?.name,
    ).toBe('old');
    expect(find<MeshService>(registry.apply([gone('ServiceEntry', 'old')]), 'service')?.name).toBe('new');
    expect(registry.apply([gone('ServiceEntry', 'new')])).toMatchObject([
      { kind: 'service', value: undefined },
      { kind: 'endpoints', value: undefined },
    ]);
  });

  it('agrees with a fresh registry after any sequence of edits', () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const apps = fc.constantFrom('x', 'y');
    const edit = fc.oneof(
      fc
        .tuple(names, apps)
        .map(([name, app]) =>
          put('Service', name, { spec: { selector: { app }, ports: [{ name: 'http', port: 80 }] } }),
        ),
      fc.tuple(names, apps, fc.boolean()).map(([name, app, healthy]) =>
        entry(name, app, 8000, {
          status: { conditions: [{ type: 'Healthy', status: healthy ? 'True' : 'False' }] },
        }),
      ),
      fc
        .tuple(names, apps, names)
        .map(([name, app, node]) =>
          put(
            'Pod',
            name,
            { spec: { nodeName: node }, status: { podIP: `10.0.0.${name.charCodeAt(0)}` } },
            { labels: { app } },
          ),
        ),
      fc
        .tuple(names, names)
        .map(([name, region]) =>
          put('Node', name, {}, { namespace: '', labels: { 'topology.kubernetes.io/region': region } }),
        ),
      fc.tuple(names, names, names).map(([name, service, pod]) =>
        put(
          'EndpointSlice',
          name,
          {
            ports: [{ name: 'http', port: 80 }],
            endpoints: [
              {
                addresses: [`10.0.0.${pod.charCodeAt(0)}`],
                ...(name === 'a' ? { nodeName: pod } : { targetRef: { kind: 'Pod', name: pod } }),
              },
            ],
          },
          { labels: { 'kubernetes.io/service-name': service } },
        ),
      ),
      fc.tuple(names, apps, fc.boolean()).map(([name, app, selects]) =>
        put('ServiceEntry', name, {
          spec: {
            hosts: [`${app}.test`],
            ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
            resolution: selects ? 'STATIC' : 'DNS',
            ...(selects ? { workloadSelector: { labels: { app } } } : {}),
          },
        }),
      ),
      fc
        .tuple(fc.constantFrom('Service', 'WorkloadEntry', 'Pod', 'EndpointSlice', 'ServiceEntry'), names)
        .map(([kind, name]) => gone(kind, name)),
    );
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 40 }), (edits) => {
        const registry = new Registry();
        const world = new Map<string, unknown>();
        const objects = new Map<string, ConfigChange>();
        for (const change of edits) {
          objects.set(`${change.kind}|${change.key}`, change);
          replay(world, registry.apply([change]));
        }
        const fresh = new Map<string, unknown>();
        replay(fresh, new Registry().apply([...objects.values()]));
        expect(new Map([...world].sort())).toEqual(new Map([...fresh].sort()));
      }),
      { numRuns: 300 },
    );
  });
});

function replay(world: Map<string, unknown>, changes: RegistryChange[]): void {
  for (const { kind, key, value } of changes) {
    if (value === undefined) world.delete(`${kind}|${key}`);
    else world.set(`${kind}|${key}`, value);
  }
}

describe('overlayMeshConfig', () => {
  it('overlays what it knows and keeps the rest', () => {
    const mesh = overlayMeshConfig(defaultMeshConfig, {
      trustDomain: 'td',
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
      ingressClass: 'istio',
    });
    expect(mesh).toMatchObject({
      trustDomain: 'td',
      outboundTrafficPolicy: 'REGISTRY_ONLY',
      connectTimeout: '10s',
      extra: { ingressClass: 'istio' },
    });
  });
});

import { expect, test } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { roots } from '../pipeline/roots.ts';
import { serviceKind } from '../snapshot/kinds.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { createModel, type Model } from './model.ts';

const reviews = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec: {serviceAccountName: reviews, containers: [{name: app, ports: [{name: web, containerPort: 9080}]}]}
`;

const client = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: client, namespace: other}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: client}}, spec: {containers: [{name: app}]}}}}}
`;

function modelOf(...texts: readonly string[]): Model {
  return createModel(objectsOf(...texts), { roots: roots.collections });
}

function objectsOf(...texts: readonly string[]) {
  return texts.flatMap((text, index) => parseYamlDocuments(text, `file-${index}.yaml`).objects);
}

function proxyOf(model: Model, key: string) {
  const proxy = model.workloads.get(key)?.proxy;
  if (!proxy) throw new Error(`${key} has no proxy`);
  return proxy;
}

function endpointsOf(model: Model, asking: string, cluster: string): string[] {
  const resources = model.resources(proxyOf(model, asking));
  const found = resources.cluster(cluster);
  return (
    (found ? resources.endpoints(found) : undefined)?.endpoints.flatMap(({ lbEndpoints }) =>
      lbEndpoints.map(({ hostIdentifier }) => {
        const socket = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
        return socket?.case === 'socketAddress'
          ? `${socket.value.address}:${socket.value.portSpecifier.value}`
          : '';
      }),
    ) ?? []
  );
}

const cluster = 'outbound|80||reviews.default.svc.cluster.local';

test('workloads, addresses and endpoints are made up as a cluster would make them, named ports and all', () => {
  const model = modelOf(reviews, client);
  expect([...model.workloads.keys()]).toEqual([
    'default/reviews-v1-0',
    'default/reviews-v1-1',
    'other/client-0',
  ]);
  const pods = ['default/reviews-v1-0', 'default/reviews-v1-1'].map(
    (key) => model.workloads.get(key)?.workload,
  );
  expect(pods.map((pod) => pod?.controller)).toEqual(['reviews-v1', 'reviews-v1']);
  expect(endpointsOf(model, 'other/client-0', cluster).sort()).toEqual(
    pods.map((pod) => `${pod?.addresses[0]}:9080`).sort(),
  );
  expect(model.world.get(serviceKind, 'default/reviews.default.svc.cluster.local')?.addresses).toHaveLength(
    1,
  );
  expect(model.assumptions.join()).toContain('every workload has a sidecar');
});

test('the order of objects changes nothing', () => {
  const keys = ['default/reviews-v1-0', 'other/client-0'];
  const facts = (model: Model) => keys.map((key) => model.workloads.get(key));
  expect(facts(modelOf(client, reviews))).toEqual(facts(modelOf(reviews, client)));
});

test('a sidecar is where a namespace or pod says so, once any of them says something', () => {
  const namespace = `{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {istio-injection: enabled}}}`;
  const model = modelOf(reviews, client, namespace);
  expect(model.workloads.get('other/client-0')?.proxy?.type).toBe('sidecar');
  expect(model.workloads.get('default/reviews-v1-0')?.proxy).toBeUndefined();
  expect(model.assumptions).toEqual([]);
});

test('gateways that nobody deploys in the files run somewhere', () => {
  const gateways = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: other}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 8000, protocol: HTTP}]}
`;
  const model = modelOf(gateways);
  expect([...model.workloads.values()].map(({ key, proxy }) => [key, proxy?.type])).toEqual([
    ['istio-system/istio-ingressgateway', 'router'],
    ['other/edge-istio', 'router'],
  ]);
  const listeners = (key: string) =>
    model
      .resources(proxyOf(model, key))
      .listeners()
      .map(({ name }) => name);
  expect(listeners('istio-system/istio-ingressgateway')).toEqual(['0.0.0.0_8080']);
  expect(listeners('other/edge-istio')).toEqual(['0.0.0.0_8000']);
});

test('an update leaves the model before it as it was, and shares what the change does not concern', () => {
  const rule = (subset: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: ${subset}, labels: {version: v1}}]}
`;
  const before = modelOf(reviews, client, rule('a'));
  const names = (model: Model) => {
    const { set } = model.resources(proxyOf(model, 'other/client-0'));
    return [...set.values()]
      .flatMap((named) => [...named.keys()])
      .filter((name) => name.startsWith('outbound|80|'));
  };
  const host = 'reviews.default.svc.cluster.local';
  const after = before.update({ objects: objectsOf(rule('b')) });
  // Asked in turns: the compile goes forth and back.
  for (let round = 0; round < 2; round++) {
    expect(new Set(names(after))).toEqual(new Set([`outbound|80||${host}`, `outbound|80|b|${host}`]));
    expect(new Set(names(before))).toEqual(new Set([`outbound|80||${host}`, `outbound|80|a|${host}`]));
  }
  const gone = after.update({ remove: ['networking.istio.io/DestinationRule|default/reviews'] });
  expect(new Set(names(gone))).toEqual(new Set([`outbound|80||${host}`]));
  const unconcerned = gone.update({
    objects: objectsOf('{apiVersion: v1, kind: ConfigMap, metadata: {name: unrelated}}'),
  });
  const client1 = proxyOf(gone, 'other/client-0');
  expect(proxyOf(unconcerned, 'other/client-0')).toBe(client1);
  expect(unconcerned.resources(client1)).toBe(gone.resources(client1));
});

test('proxies of one class share what is compiled', () => {
  const twin = client.replace('name: client,', 'name: twin,');
  const model = modelOf(reviews, client, twin);
  const clusters = ['other/client-0', 'other/twin-0'].map((key) =>
    model.resources(proxyOf(model, key)).cluster(cluster),
  );
  expect(clusters[0]).toBeDefined();
  expect(clusters[0]).toBe(clusters[1]);
});

test('a field is found in its file', () => {
  const model = modelOf(reviews);
  expect(
    model.positionOf({ kind: 'Service', namespace: 'default', name: 'reviews', path: 'spec.ports[0]' }),
  ).toMatchObject({
    file: 'file-0.yaml',
    line: 5,
  });
});

test('discovery selectors leave namespaces out', () => {
  const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'discoverySelectors: [{matchLabels: {mesh: "yes"}}]'}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {mesh: "yes"}}}
`;
  const model = modelOf(reviews, client, settings);
  expect([...model.workloads.keys()]).toEqual(['other/client-0']);
});

const traffic = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
---
apiVersion: networking.istio.io/v1
kind: EnvoyFilter
metadata: {name: patches, namespace: istio-system}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {cluster: {service: reviews.default.svc.cluster.local}}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
  - applyTo: CLUSTER
    patch: {operation: ADD, value: {name: added, type: STATIC}}
`;

test('resources made on demand are those that are made at once, one by one and altogether', () => {
  const objects = objectsOf(reviews, client, traffic);
  const whole = createModel(objects, { roots: roots.collections });
  for (const key of ['other/client-0', 'default/reviews-v1-0']) {
    const expected = whole.resources(proxyOf(whole, key)).set;
    const model = createModel(objects, { roots: roots.collections, onDemand: true });
    const alone = model.resources(proxyOf(model, key)).set;
    const versions = (set: typeof expected, typeUrl: string) =>
      new Map([...(set.get(typeUrl) ?? [])].map(([name, { version }]) => [name, version]));
    for (const [typeUrl, resources] of expected) {
      for (const [name, { version }] of resources)
        expect(alone.get(typeUrl)?.get(name)?.version, name).toBe(version);
      expect(alone.get(typeUrl)?.get('nobody')).toBeUndefined();
      expect(versions(alone, typeUrl)).toEqual(versions(expected, typeUrl));
    }
    expect(versions(expected, typeUrls.cluster).has('added')).toBe(true);
  }
});

test('a model on demand answers as it stood after another of its family was made and asked', () => {
  const model = createModel(objectsOf(reviews, client), { roots: roots.collections, onDemand: true });
  const before = model.resources(proxyOf(model, 'other/client-0'));
  const later = model.update({ remove: ['/Service|default/reviews'] });
  expect(later.resources(proxyOf(later, 'other/client-0')).cluster(cluster)).toBeUndefined();
  expect(before.cluster(cluster)).toBeDefined();
});

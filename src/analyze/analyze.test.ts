import { describe, expect, test } from 'vitest';
import { createBuiltInRegistry } from '../config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../config/object.ts';
import { admitSchema } from '../config/schema/admit-schema.ts';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { type AnalyzeOptions, analyze } from './analyze.ts';
import { analyzers } from './index.ts';
import { parseSuppression } from './suppression.ts';

const registry = createBuiltInRegistry();

function judge(object: ConfigObject) {
  const [group = '', version = ''] = object.apiVersion.includes('/')
    ? object.apiVersion.split('/')
    : ['', object.apiVersion];
  const kind = registry.byKind(group, object.kind);
  const found = kind && registry.byResource(group, version, kind.plural);
  if (!found) return [];
  const { issues, object: admitted } = admitSchema({ ...found, object, old: undefined });
  return issues.length > 0 ? issues : (found.kind.validate?.(admitted) ?? []);
}

/** What is found, each as `CODE Severity Resource line:column`. */
function find(yaml: string, options: Partial<AnalyzeOptions> = {}): string[] {
  const { objects, problems } = parseYamlDocuments(yaml, 'mesh.yaml');
  expect(problems).toEqual([]);
  const messages = analyze(objects, {
    analyzers,
    judge,
    now: Date.UTC(2026, 0),
    assumeInstallation: true,
    ...options,
  });
  return messages.map(
    ({ code, severity, resource, position }) =>
      `${code} ${severity} ${resource} ${position?.line}:${position?.column}`,
  );
}

const service = (name: string, ports: string, extra = '') => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [${ports}]${extra} }
---`;

const route = (destination: string, annotations = '{}') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop, annotations: ${annotations} }
spec:
  hosts: [cart]
  http:
  - route:
    - destination: ${destination}
---`;

const http = '{ name: http, port: 80 }';

describe('destinations', () => {
  test('a service that is there is no mistake', () => {
    expect(find(service('cart', http) + route('{ host: cart }'))).toEqual([]);
  });

  test('a host that is not there is told where it stands', () => {
    expect(find(service('cart', http) + route('{ host: card }'))).toEqual([
      'IST0101 Error VirtualService shop/cart 14:22',
    ]);
  });

  test('a port that is not there, and one of several that is not named', () => {
    const two = service('cart', `${http}, { name: grpc, port: 90 }`);
    expect(find(two + route('{ host: cart, port: { number: 91 } }'))).toEqual([
      'IST0101 Error VirtualService shop/cart 14:34',
    ]);
    expect(find(two + route('{ host: cart }'))).toEqual(['IST0112 Error VirtualService shop/cart 14:7']);
  });

  test('a subset that nobody defines', () => {
    expect(find(service('cart', http) + route('{ host: cart, subset: v9 }'))).toEqual([
      'IST0101 Error VirtualService shop/cart 14:34',
    ]);
  });
});

describe('suppression', () => {
  const wrong = service('cart', http) + route('{ host: card }');

  test('by flag, in both ways to write a name', () => {
    for (const text of [
      'IST0101=VirtualService cart.shop',
      'IST0101=VirtualService shop/cart',
      'IST0101=* *.shop',
    ])
      expect(find(wrong, { suppressions: [parseSuppression(text)].flatMap((one) => one ?? []) })).toEqual([]);
    const other = parseSuppression('IST0101=VirtualService cart.other');
    expect(find(wrong, { suppressions: other ? [other] : [] })).toHaveLength(1);
    expect(parseSuppression('IST0101')).toBeUndefined();
  });

  test('by annotation', () => {
    const annotated = (codes: string) =>
      service('cart', http) + route('{ host: card }', `{ galley.istio.io/analyze-suppress: "${codes}" }`);
    expect(find(annotated('IST0112,IST0101'))).toEqual([]);
    expect(find(annotated('*'))).toEqual([]);
    expect(find(annotated('IST0112'))).toHaveLength(1);
  });
});

test('what has fields of a wrong type is told by its schema, and shown to nobody else', () => {
  expect(find(service('cart', http) + route('[cart]'))).toEqual([
    'IST0106 Error VirtualService shop/cart 14:7',
  ]);
});

test('an analyzer that fails is told, and the others go on', () => {
  const broken = {
    name: 'broken',
    inputs: [],
    analyze: () => {
      throw new Error('no');
    },
  };
  expect(find(service('cart', '{ port: 80 }'), { analyzers: [broken, ...analyzers] })).toEqual([
    'IST0001 Error Service shop/cart 2:1',
    'IST0118 Info Service shop/cart 5:42',
  ]);
});

test('the usual ingress gateway is taken as given with files alone', () => {
  const gateway = (port: number) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: door, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: ${port}, name: http, protocol: HTTP }
    hosts: ["*"]
`;
  expect(find(gateway(80))).toEqual([]);
  expect(find(gateway(81))).toEqual(['IST0162 Warning Gateway shop/door 8:13']);
  expect(find(gateway(80), { assumeInstallation: false })).toEqual(['IST0101 Error Gateway shop/door 6:3']);
  expect(find(gateway(80), { assumeInstallation: false, workloadsKnown: false })).toEqual([]);
});

test('labels for injection mean nothing where nobody injects', () => {
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n';
  expect(find(namespace)).toEqual(['IST0102 Info Namespace shop 1:1']);
  expect(find(namespace, { assumeInstallation: false })).toEqual([]);
});

test('a misspelt kind and a Gateway API object that its schema refuses are told', () => {
  const misspelt = route('{ host: cart }').replace('kind: VirtualService', 'kind: VirtualSevice');
  const judged = (object: ConfigObject) =>
    object.kind === 'VirtualSevice'
      ? [
          {
            path: 'kind',
            severity: 'error' as const,
            code: 'FieldValueNotSupported',
            message: 'there is no such kind',
          },
        ]
      : judge(object);
  expect(find(misspelt, { judge: judged })).toEqual(['IST0106 Error VirtualSevice shop/cart 3:1']);
  const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: door }
spec: { gatewayClassName: istio, listeners: [{ name: http, port: 800000, protocol: HTTP }] }
`;
  expect(find(gateway)).toEqual(['IST0106 Error Gateway door 5:60']);
});

test('null is absence, and pods whose lists are none are passed over', () => {
  const pods = [
    '{ containers: null, initContainers: [null] }',
    '{ containers: web }',
    '{ containers: [web] }',
  ].map(
    (spec, index) => `
apiVersion: v1
kind: Pod
metadata: { name: p${index}, labels: null }
spec: ${spec}
---`,
  );
  const none = { judge: () => [] };
  expect(find(`${pods.join('')}${service('cart', http)}${route('null')}`, none)).toEqual([
    'IST0101 Error VirtualService shop/cart 29:7',
  ]);
});

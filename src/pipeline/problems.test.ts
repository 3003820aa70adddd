import { expect, test } from 'vitest';
import { worldOfYaml } from '../../test/support/mesh-world.ts';
import { features } from '../features/index.ts';
import { defaultMeshConfig, type MeshConfig } from '../registry/mesh-config.ts';
import { rebuild } from '../snapshot/rebuild.ts';
import { testProxy } from '../snapshot/testing.ts';
import { createProblems, decodeProblems, problemsType } from './problems.ts';

const problems = createProblems(features);

function problemsOf(yaml: string, mesh: Partial<MeshConfig> = {}): string[] {
  const world = worldOfYaml(yaml.split('---\n'));
  const found = rebuild(world, { ...defaultMeshConfig, ...mesh }, testProxy('nobody'), [problems], {
    onFailure: ({ key, error }) => {
      throw new Error(`${key}`, { cause: error });
    },
  });
  return [...(found.get(problemsType)?.values() ?? [])]
    .flatMap(decodeProblems)
    .map(({ code, origin }) => `${code} ${origin.kind}/${origin.namespace}/${origin.name}#${origin.path}`);
}

test('names what leads nowhere, what cannot be read and what is not acted on', () => {
  expect(
    problemsOf(`
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: broken}
spec:
  hosts: [reviews]
  gateways: [mesh, nowhere]
  http:
  - match: [{uri: {regex: '(['}}]
    route: [{destination: {host: reviews, subset: v9}}]
  - route: [{destination: {host: nobody}}]
    mirror: {host: nobody-either}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0}}, abort: {httpStatus: 503}}
    retries: {perTryTimeout: 1s}
  - delegate: {name: other}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: idle}
spec: {host: nothing.example.com, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1000}}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {app: x}
  servers:
  - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: missing}}
  - {port: {number: 443, name: b, protocol: HTTPS}, hosts: ['*/a.example.com'], tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}}
`).sort(),
  ).toEqual([
    'ConflictingHost Gateway/default/front#spec.servers[1].hosts',
    'CredentialNotFound Gateway/default/front#spec.servers[0].tls.credentialName',
    'FaultWithoutShare VirtualService/default/broken#spec.http[1].fault.abort',
    'InvalidRegex VirtualService/default/broken#spec.http[0].match[0]',
    'ReferencedDelegateNotFound VirtualService/default/broken#spec.http[2].delegate',
    'ReferencedGatewayNotFound VirtualService/default/broken#spec.gateways[1]',
    'ReferencedHostNotFound DestinationRule/default/idle#spec.host',
    'ReferencedHostNotFound VirtualService/default/broken#spec.http[1].mirror.host',
    'ReferencedHostNotFound VirtualService/default/broken#spec.http[1].route[0].destination.host',
    'ReferencedSubsetNotFound VirtualService/default/broken#spec.http[0].route[0].destination.subset',
    'RetriesWithoutAttempts VirtualService/default/broken#spec.http[1].retries',
    'UnusableSize DestinationRule/default/idle#spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize',
  ]);
});

test('a sound object has none', () => {
  expect(
    problemsOf(`
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
`),
  ).toEqual([]);
});

test('names hosts that another entry has, and addresses that no proxy could be told', () => {
  expect(
    problemsOf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: first, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {hosts: [a.test], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{network: elsewhere}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second, creationTimestamp: '2024-01-02T00:00:00Z'}
spec: {hosts: [a.test], resolution: STATIC, ports: [{number: 81, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: third, creationTimestamp: '2024-01-03T00:00:00Z'}
spec: {hosts: [b.test, a.test], resolution: DNS, ports: [{number: 82, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: named}
spec: {address: vm.test}
`).sort(),
  ).toEqual([
    'AddressMissing ServiceEntry/default/first#spec.endpoints[0].network',
    'AddressNotDelivered WorkloadEntry/default/named#spec.address',
    'ConflictingHost ServiceEntry/default/third#spec.hosts[1]',
  ]);
});

test('notes protocols that pass as TCP', () => {
  expect(
    problemsOf(`
apiVersion: v1
kind: Service
metadata: {name: db, annotations: {networking.ostria.io/protocol-filters: 'maybe'}}
spec: {clusterIP: 10.1.0.1, ports: [{name: mysql, port: 3306}, {name: mongo, port: 27017}, {name: redis, port: 6379}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: queue, annotations: {networking.ostria.io/protocol-filters: 'true'}}
spec: {hosts: [a.test], resolution: DNS, ports: [{number: 9092, name: a, protocol: KAFKA}, {number: 6379, name: b, protocol: REDIS}]}
`).sort(),
  ).toEqual([
    'InvalidAnnotation Service/default/db#metadata.annotations.networking.ostria.io/protocol-filters',
    'ProtocolAsTcp Service/default/db#spec.ports[0]',
    'ProtocolAsTcp Service/default/db#spec.ports[2]',
    'ProtocolAsTcp ServiceEntry/default/queue#spec.ports[0]',
  ]);
});

test('a ProxyConfig that an older one overrides, and an image', () => {
  expect(
    problemsOf(`
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: older, creationTimestamp: '2026-01-01T00:00:00Z'}
spec: {concurrency: 2, image: {imageType: debug}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: younger, creationTimestamp: '2026-01-02T00:00:00Z'}
spec: {concurrency: 4}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: selects, creationTimestamp: '2026-01-03T00:00:00Z'}
spec: {selector: {matchLabels: {app: a}}, concurrency: 4}
`).sort(),
  ).toEqual(['NotActedOn ProxyConfig/default/older#spec.image', 'Overridden ProxyConfig/default/younger#']);
});

test('a policy for what only a waypoint would judge says so instead of doing nothing in silence', () => {
  expect(
    problemsOf(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: of-a-service}
spec: {targetRefs: [{group: '', kind: Service, name: orders}], rules: [{}]}
`),
  ).toEqual(['NotActedOn AuthorizationPolicy/default/of-a-service#spec.targetRefs[0]']);
});

test('at a Gateway a route that repeats one of an older object for the host is told; what the older one leaves is not', () => {
  const object = (name: string, year: number, http: string, gateways = '[front]') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, creationTimestamp: '${year}-01-01T00:00:00Z'}
spec: {hosts: [a.example.com], gateways: ${gateways}, http: [${http}]}
---
`;
  const to = 'route: [{destination: {host: web.example.com}}]';
  expect(
    problemsOf(
      object('old', 2020, `{match: [{uri: {prefix: /a}, name: x}], ${to}}, {${to}}`) +
        object('young', 2021, `{match: [{uri: {prefix: /b}}], ${to}}, {match: [{uri: {prefix: /}}], ${to}}`) +
        object(
          'same',
          2022,
          `{match: [{name: y, uri: {prefix: /a}}], ${to}}, {match: [{uri: {prefix: /c}}, {uri: {prefix: /a}}], ${to}}`,
        ) +
        object('elsewhere', 2023, `{${to}}`, '[back]') +
        `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec: {hosts: [web.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {app: x}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: back}
spec: {selector: {app: y}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]}
`,
    ),
  ).toEqual([
    'ConflictingHost VirtualService/default/same#spec.http[0]',
    'ConflictingHost VirtualService/default/young#spec.http[1]',
  ]);
});

test('an authorizer by gRPC on a port that says nothing of HTTP/2 is told, and one on a port that does is not', () => {
  const policy = (port: string) => `
apiVersion: v1
kind: Service
metadata: {name: gate}
spec: {clusterIP: 10.1.0.2, ports: [{name: ${port}, port: 9000}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask}
spec: {action: CUSTOM, provider: {name: gate}, rules: [{}]}
`;
  const grpc = { service: 'gate.default.svc.cluster.local', port: 9000 };
  const mesh = { extensionProviders: [{ name: 'gate', envoyExtAuthzGrpc: grpc }] };
  expect(problemsOf(policy('http'), mesh)).toEqual([
    'ProviderUnusable AuthorizationPolicy/default/ask#spec.provider',
  ]);
  expect(problemsOf(policy('grpc'), mesh)).toEqual([]);
});

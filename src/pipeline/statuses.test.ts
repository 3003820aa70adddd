import { expect, test } from 'vitest';
import { worldOfYaml } from '../../test/support/mesh-world.ts';
import { features } from '../features/index.ts';
import type { PlannedCondition, StatusEntry } from '../plan/object-status.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { rebuild } from '../snapshot/rebuild.ts';
import { testProxy } from '../snapshot/testing.ts';
import { createStatuses, decodeStatus, statusesType } from './statuses.ts';

const statuses = createStatuses(features);

/** `Kind|namespace/name` → lines of `where Type=Status/Reason`, those that are as they should be left out. */
function statusesOf(yaml: string): Record<string, string[]> {
  const made = rebuild(worldOfYaml(yaml.split('---\n')), defaultMeshConfig, testProxy('nobody'), [statuses], {
    onFailure: ({ key, error }) => {
      throw new Error(`${key}`, { cause: error });
    },
  }).get(statusesType);
  return Object.fromEntries(
    [...(made ?? [])].map(([id, resource]) => {
      const { conditions = [], lists = {}, shared } = decodeStatus(resource);
      const entries = [...Object.values(lists).flat(), ...(shared?.entries ?? [])];
      return [
        id.replace('gateway.networking.k8s.io/', ''),
        [
          ...(conditions.length > 0 ? lines('', conditions) : []),
          ...entries.flatMap((entry) => lines(labelOf(entry), entry.conditions)),
        ],
      ];
    }),
  );
}

function labelOf(entry: StatusEntry): string {
  const ref = (entry.parentRef ?? entry.ancestorRef) as { name: string; sectionName?: string } | undefined;
  const label = ref
    ? `${ref.name}${ref.sectionName ? `#${ref.sectionName}` : ''}`
    : `${entry.name}/${entry.attachedRoutes}`;
  return `${label} `;
}

function lines(label: string, conditions: readonly PlannedCondition[]): string[] {
  const good = ({ type, status, reason }: PlannedCondition): boolean =>
    type === 'Conflicted' ? status === 'False' : status === 'True' && reason === type;
  const bad = conditions.filter((condition) => !good(condition));
  return bad.length === 0
    ? [`${label}well`]
    : bad.map(({ type, status, reason }) => `${label}${type}=${status}/${reason}`);
}

const base = `
apiVersion: v1
kind: Service
metadata: {name: front-istio, labels: {gateway.networking.k8s.io/gateway-name: front}}
spec: {ports: [{name: http, port: 80}, {name: https, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: away}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: twice, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: nowhere}]}}
  - {name: strange, port: 81, protocol: example.com/strange}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign}
spec: {gatewayClassName: other, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
`;
const route = (name: string, parent: string, rest: string, namespace = 'default') => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: ${namespace}}
spec: {parentRefs: [${parent}], ${rest}}
---
`;
const toWeb = 'rules: [{backendRefs: [{name: web, port: 80}]}]';

test('Gateways say what each listener lacks; those of other controllers are left alone', () => {
  const found = statusesOf(base + route('web', '{name: front, sectionName: http}', toWeb));
  expect(found['Gateway|default/front']).toEqual([
    'Accepted=True/ListenersNotValid',
    'http/1 well',
    ...['twice/0 Accepted=False', 'twice/0 Conflicted=True', 'twice/0 Programmed=False'].map(
      (one) => `${one}/HostnameConflict`,
    ),
    'https/0 Programmed=False/Invalid',
    'https/0 ResolvedRefs=False/InvalidCertificateRef',
    'strange/0 Accepted=False/UnsupportedProtocol',
    'strange/0 Programmed=False/Invalid',
  ]);
  expect(found['Gateway|default/foreign']).toBeUndefined();
});

test('default Gateways take the routes that ask for one, besides those that name them', () => {
  const gateway = (name: string, spec: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {gatewayClassName: istio, ${spec}}
---
`;
  const open = 'listeners: [{name: http, port: 80, protocol: HTTP}]';
  const found = statusesOf(
    base +
      gateway('any', `defaultScope: All, ${open}`) +
      gateway('narrow', `defaultScope: All, ${open.replace('HTTP}', 'HTTP, hostname: b.example.org}')}`) +
      gateway('shy', open) +
      `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: asks}
spec: {useDefaultGateways: All, hostnames: [a.example.org], parentRefs: [{name: shy}], ${toWeb}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: asks-not}
spec: {hostnames: [a.example.org], parentRefs: [{name: shy}], ${toWeb}}
---
`,
  );
  expect(found['HTTPRoute|default/asks']).toEqual(['shy well', 'any well']);
  expect(found['HTTPRoute|default/asks-not']).toEqual(['shy well']);
  expect(['any', 'narrow', 'shy'].map((name) => found[`Gateway|default/${name}`]?.[1])).toEqual([
    'http/1 well',
    'http/0 well',
    'http/2 well',
  ]);
});

test('filters that cannot be carried out are told, of backends too', () => {
  const strange = 'filters: [{type: ExtensionRef, extensionRef: {group: x.example, kind: Magic, name: one}}]';
  const ask = (name: string) =>
    `{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: ${name}, port: 80}, http: {}}}`;
  const parent = '{name: front, sectionName: http}';
  const found = statusesOf(
    base +
      route('strange', parent, `rules: [{${strange}, backendRefs: [{name: web, port: 80}]}]`) +
      route('strange-backend', parent, `rules: [{backendRefs: [{name: web, port: 80, ${strange}}]}]`) +
      route('asks', parent, `rules: [{filters: [${ask('web')}], backendRefs: [{name: web, port: 80}]}]`) +
      route(
        'nobody',
        parent,
        `rules: [{backendRefs: [{name: web, port: 80, filters: [${ask('nobody')}]}]}]`,
      ) +
      route('twice', parent, `rules: [{filters: [${ask('web')}, ${ask('web')}]}]`),
  );
  const of = (name: string) => found[`HTTPRoute|default/${name}`];
  expect(of('strange')).toEqual(['front#http ResolvedRefs=False/InvalidKind']);
  expect(of('strange-backend')).toEqual(['front#http ResolvedRefs=False/InvalidKind']);
  expect(of('asks')).toEqual(['front#http well']);
  expect(of('nobody')).toEqual(['front#http ResolvedRefs=False/BackendNotFound']);
  expect(of('twice')).toEqual(['front#http Accepted=False/UnsupportedValue']);
});

test('routes say of each parent why it did not take them, and where references lead nowhere', () => {
  const found = statusesOf(
    base +
      route('well', '{name: front, sectionName: http}, {name: foreign}', toWeb) +
      route('section', '{name: front, sectionName: none}', toWeb) +
      route('names', '{name: front, sectionName: http}', `hostnames: [a.example.org], ${toWeb}`) +
      route(
        'afar',
        '{name: front, namespace: default, sectionName: http}',
        'rules: [{backendRefs: [{name: far, port: 80}]}]',
        'away',
      ) +
      route(
        'dangling',
        '{name: front, sectionName: http}',
        'rules: [{backendRefs: [{name: nobody, port: 80}]}]',
      ) +
      route(
        'closed',
        '{name: front, sectionName: http}',
        'rules: [{backendRefs: [{name: far, namespace: away, port: 80}]}]',
      ) +
      route(
        'kind',
        "{group: '', kind: Service, name: web}",
        'rules: [{backendRefs: [{kind: Bucket, group: s3, name: b}]}]',
      ) +
      route('gone', "{group: '', kind: Service, name: nobody}", toWeb) +
      route(
        'regex',
        '{name: front, sectionName: http}',
        "rules: [{matches: [{path: {type: RegularExpression, value: '(['}}], backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 80}]}]",
      ),
  );
  const of = (name: string, namespace = 'default') => found[`HTTPRoute|${namespace}/${name}`];
  expect(of('well')).toEqual(['front#http well']);
  expect(of('section')).toEqual(['front#none Accepted=False/NoMatchingParent']);
  expect(of('names')).toEqual(['front#http Accepted=False/NoMatchingListenerHostname']);
  expect(of('afar', 'away')).toEqual(['front#http Accepted=False/NotAllowedByListeners']);
  expect(of('dangling')).toEqual(['front#http ResolvedRefs=False/BackendNotFound']);
  expect(of('closed')).toEqual(['front#http ResolvedRefs=False/RefNotPermitted']);
  expect(of('kind')).toEqual(['web ResolvedRefs=False/InvalidKind']);
  expect(of('gone')).toEqual(['nobody Accepted=False/NoMatchingParent']);
  expect(of('regex')).toEqual(['front#http PartiallyInvalid=True/UnsupportedValue']);
});

test('ListenerSets and policies', () => {
  const found = statusesOf(`${base}
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec: {parentRef: {name: front}, listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example.org}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls}
spec: {targetRefs: [{group: '', kind: Service, name: web}], validation: {hostname: web.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: none}]}}
---
${route('web', '{name: front, sectionName: http}', toWeb)}`);
  expect(found['ListenerSet|default/more']).toEqual([
    'Accepted=False/NotAllowed',
    'Programmed=False/NotAllowed',
  ]);
  expect(found['BackendTLSPolicy|default/tls']).toEqual(
    ['front', 'web'].flatMap((name) => [
      `${name} Accepted=False/NoValidCACertificate`,
      `${name} ResolvedRefs=False/InvalidCACertificateRef`,
    ]),
  );
});

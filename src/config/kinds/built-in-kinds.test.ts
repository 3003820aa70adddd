import { describe, expect, test } from 'vitest';
import type { KindRegistry } from '../kind.ts';
import type { ConfigObject } from '../object.ts';
import { admitSchema } from '../schema/admit-schema.ts';
import { compileSchema } from '../schema/compile-schema.ts';
import type { SchemaNode } from '../schema/schema-node.ts';
import { builtInKinds, createBuiltInRegistry } from './built-in-kinds.ts';
import { reviewKinds } from './core/access-kinds.ts';
import { describedKinds, strayDescriptions } from './descriptions.ts';

const registry = createBuiltInRegistry();

function admit(object: Record<string, unknown>, kinds: KindRegistry = registry) {
  const config = object as unknown as ConfigObject;
  const [version = '', group = ''] = config.apiVersion.split('/').reverse();
  const kind = kinds.byKind(group, config.kind);
  const found = kind && kinds.byResource(group, version, kind.plural);
  if (!found) throw new Error(`no kind ${config.apiVersion} ${config.kind}`);
  const verdict = admitSchema({ ...found, object: config, old: undefined });
  const issues = verdict.issues.length > 0 ? verdict.issues : (kind.validate?.(verdict.object) ?? []);
  return {
    object: verdict.object,
    unknown: verdict.unknownFields,
    issues: issues.map((issue) => issue.path),
  };
}

test('every kind has one storage version, and names that differ from all others', () => {
  const kinds = [...builtInKinds(), ...reviewKinds];
  for (const kind of kinds) expect(kind.versions.filter((version) => version.storage)).toHaveLength(1);
  expect(new Set(kinds.map((kind) => `${kind.plural}.${kind.group}`)).size).toBe(kinds.length);
  expect(new Set(kinds.map((kind) => `${kind.kind}.${kind.group}`)).size).toBe(kinds.length);
});

test('every schema compiles, rules and patterns included', () => {
  for (const kind of [...builtInKinds(), ...reviewKinds])
    for (const version of kind.versions)
      expect(() =>
        compileSchema(version.schema).validate({
          apiVersion: `${kind.group}/${version.name}`,
          kind: kind.kind,
          metadata: { name: 'x' },
          spec: {},
        }),
      ).not.toThrow();
});

/** Strategic merge and server-side apply read these; a typo would fall back to replacing lists. */
test('lists of map items name keys that their items have', () => {
  const visit = (schema: SchemaNode, where: string) => {
    const keys = schema['x-kubernetes-list-map-keys'] ?? [];
    const merge = schema['x-kubernetes-patch-merge-key'];
    for (const key of merge === undefined ? keys : [...keys, merge])
      expect(Object.keys(schema.items?.properties ?? {}), where).toContain(key);
    for (const [name, child] of Object.entries(schema.properties ?? {})) visit(child, `${where}.${name}`);
    if (schema.items) visit(schema.items, `${where}[]`);
  };
  for (const kind of builtInKinds())
    for (const version of kind.versions) visit(version.schema as SchemaNode, kind.kind);
});

test('every description is for a field that there is', () => {
  for (const name of describedKinds) {
    const kind = builtInKinds().find((one) => `${one.kind}.${one.group}` === name);
    const schema = kind?.versions.find((version) => version.storage)?.schema;
    expect(schema, name).toBeDefined();
    expect(schema && strayDescriptions(name, schema), name).toEqual([]);
  }
});

test('Istio kinds are served in all their versions', () => {
  expect(
    registry.byKind('networking.istio.io', 'VirtualService')?.versions.map((version) => version.name),
  ).toEqual(['v1', 'v1alpha3', 'v1beta1']);
  expect(registry.byResource('networking.istio.io', 'v1beta1', 'virtualservices')?.version.name).toBe(
    'v1beta1',
  );
  expect(registry.byResource('networking.istio.io', 'v2', 'virtualservices')).toBeUndefined();
  expect(registry.byResource('gateway.networking.k8s.io', 'v1alpha2', 'tcproutes')?.kind.kind).toBe(
    'TCPRoute',
  );
});

describe('core kinds', () => {
  const service = (spec: object) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec });

  test('a Service gets its defaults', () => {
    const { object, issues } = admit(service({ ports: [{ port: 80 }] }));
    expect(issues).toEqual([]);
    expect(object.spec).toEqual({
      type: 'ClusterIP',
      sessionAffinity: 'None',
      ports: [{ port: 80, protocol: 'TCP' }],
    });
  });

  test.each<[string, object, string[]]>([
    ['no ports', {}, ['spec.ports']],
    ['headless', { clusterIP: 'None' }, []],
    ['ExternalName', { type: 'ExternalName', externalName: 'a.example.com' }, []],
    ['ExternalName without a name', { type: 'ExternalName' }, ['spec.externalName']],
    ['unnamed ports', { ports: [{ port: 80, name: 'a' }, { port: 81 }] }, ['spec.ports[1].name']],
    [
      'same port twice',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 80, name: 'b' },
        ],
      },
      ['spec.ports[1]'],
    ],
    [
      'same port, other protocol',
      {
        ports: [
          { port: 53, name: 'a' },
          { port: 53, name: 'b', protocol: 'UDP' },
        ],
      },
      [],
    ],
    ['port out of range', { ports: [{ port: 70000 }] }, ['spec.ports[0].port']],
    ['bad target port', { ports: [{ port: 80, targetPort: '8080' }] }, ['spec.ports[0].targetPort']],
    ['unknown type', { type: 'Magic', ports: [{ port: 80 }] }, ['spec.type']],
  ])('Service: %s', (_, spec, paths) => {
    expect(admit(service(spec)).issues).toEqual(paths);
  });

  test('unknown fields of what we run are named', () => {
    expect(admit(service({ ports: [{ port: 80, prot: 'TCP' }], selectr: {} })).unknown).toEqual([
      'spec.ports[0].prot',
      'spec.selectr',
    ]);
  });

  test('an EndpointSlice has addresses of its type', () => {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'e' },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: ['::1'] }],
      ports: [{ port: 80 }],
    };
    expect(admit(slice).issues).toEqual(['endpoints[1].addresses[0]']);
  });

  test('a Deployment of a chart keeps what its pods say', () => {
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: {
        replicas: 2,
        strategy: { rollingUpdate: { maxSurge: '25%' } },
        selector: { matchLabels: { app: 'd' } },
        template: {
          metadata: { labels: { app: 'd' } },
          spec: {
            affinity: { podAntiAffinity: {} },
            volumes: [{ name: 'v', emptyDir: {} }],
            containers: [
              { name: 'c', image: 'i', ports: [{ containerPort: 80 }], securityContext: { runAsUser: 1 } },
            ],
          },
        },
      },
    };
    const { object, unknown, issues } = admit(structuredClone(deployment));
    expect(issues).toEqual([]);
    expect(unknown).toEqual([]);
    const expected = structuredClone(deployment);
    Object.assign(expected.spec.template.spec.containers[0]?.ports[0] ?? {}, { protocol: 'TCP' });
    expect(object).toEqual(expected);
  });
});

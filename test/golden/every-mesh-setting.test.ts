// Every setting of MeshConfig does something, is told (`ostria mesh-config`), or is listed with the reason: the sample below sets each; it
// is then taken away, or given another value, and the mesh is compiled again.
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { MeshConfigSchema } from '../../gen/proto/istio/mesh/v1alpha1/config_pb.js';
import { validateMeshConfig } from '../../src/config/kinds/istio/validate-mesh-config.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { uncoveredMeshConfig } from '../../src/features/mesh-config-coverage.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig, overlayMeshConfig } from '../../src/registry/mesh-config.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { worldOfObjects } from '../support/mesh-world.ts';
import { makeProxy } from './mesh.ts';
import { meshSettingsElsewhere, sampleMesh, sampleObjects } from './mesh-settings.ts';
import { withValue } from './schema-fields.ts';

type Json = Readonly<Record<string, unknown>>;

const objects = parseYamlDocuments(sampleObjects, 'objects.yaml').objects.map(({ object }) => object);
const proxies = [
  makeProxy({
    name: 'web-1',
    ip: '10.2.0.1',
    labels: { app: 'web', tier: 'gold' },
    locality: { region: 'eu', zone: 'a' },
  }),
  makeProxy({ type: 'router', name: 'ingress', labels: { istio: 'ingressgateway' } }),
];

/** The paths of all settings; of messages of others (well-known types) the field. */
function settingsOf(message: DescMessage, path = '', within: readonly string[] = []): string[] {
  return message.fields.flatMap((field) => {
    const inner = messageOf(field);
    const here = `${path}${field.jsonName}${field.fieldKind === 'list' ? '[]' : ''}`;
    if (!inner || inner.typeName.startsWith('google.') || within.includes(inner.typeName)) return [here];
    return settingsOf(inner, `${here}.`, [...within, inner.typeName]);
  });
}

function messageOf(field: DescField): DescMessage | undefined {
  return field.fieldKind === 'message' || field.fieldKind === 'list' ? field.message : undefined;
}

function valuesAt(
  value: unknown,
  steps: readonly string[],
  place: (string | number)[] = [],
): (string | number)[][] {
  const [step, ...rest] = steps;
  if (step === undefined) return value === undefined ? [] : [place];
  if (typeof value !== 'object' || value === null) return [];
  const name = step.replace('[]', '');
  const inner = (value as Record<string, unknown>)[name];
  if (!step.endsWith('[]')) return valuesAt(inner, rest, [...place, name]);
  return Array.isArray(inner)
    ? inner.flatMap((one, index) => valuesAt(one, rest, [...place, name, index]))
    : [];
}

function compiled(settings: Json): string[] {
  const mesh = overlayMeshConfig(defaultMeshConfig, settings);
  const world = worldOfObjects(objects, mesh);
  return proxies.flatMap((proxy) =>
    [...rebuild(world, mesh, proxy, roots.collections)].flatMap(([type, byName]) =>
      [...byName.values()].map(({ name, version }) => `${proxy.id} ${type} ${name} ${version}`),
    ),
  );
}

function alternatives(value: unknown): unknown[] {
  if (typeof value === 'boolean') return [undefined, !value];
  if (typeof value === 'number') return [undefined, value + 1];
  return [undefined, value === '.' ? '*' : `${value}x`];
}

test('the samples are valid', () => {
  for (const sample of sampleMesh)
    expect(validateMeshConfig(sample).filter(({ severity }) => severity === 'error')).toEqual([]);
});

test('every setting has an effect, is told, or has a reason why not', () => {
  const before = sampleMesh.map((sample) => compiled(sample).join('\n'));
  const without = settingsOf(MeshConfigSchema).filter((path) => {
    if (isTold(path)) return false;
    return !sampleMesh.some((sample, index) =>
      valuesAt(sample, path.split('.')).some((place) =>
        alternatives(place.reduce<unknown>((value, step) => (value as Json)[step], sample)).some(
          (value) => compiled(withValue(sample, place, value)).join('\n') !== before[index],
        ),
      ),
    );
  });
  expect(without.sort()).toEqual(Object.keys(meshSettingsElsewhere).sort());
  // Seconds of work; ten times that on a machine with other work.
}, 300_000);

/** Whether the setting, whatever its value, is told. */
function isTold(path: string): boolean {
  const settings = path
    .split('.')
    .reverse()
    .reduce<unknown>(
      (inner, step) => (step.endsWith('[]') ? { [step.replace('[]', '')]: [inner] } : { [step]: inner }),
      'x',
    );
  const plain = (text: string): string => `${text.replace(/\[\d*\]/g, '')}.`;
  return uncoveredMeshConfig(settings as Json).some(({ field }) => plain(path).startsWith(plain(field)));
}

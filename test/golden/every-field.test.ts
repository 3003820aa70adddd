// Every field that a user can set does something: it changes what proxies get, what the object's status says, or what whoever applies it
// is told. What does not is listed with the reason in `fields-without-effect.ts`. A field is set in some golden, or in `fields/*.yaml`; it is then
// taken away, or given another value, and the mesh is compiled again.
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { createAdmitObject, splitApiVersion } from '../../src/control-plane/admit-object.ts';
import { features } from '../../src/features/index.ts';
import { createProblems, problemsOf } from '../../src/pipeline/problems.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { createStatuses } from '../../src/pipeline/statuses.ts';
import { usageChanges } from '../../src/plan/lazy.ts';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import type { Collection } from '../../src/snapshot/query.ts';
import { inspect, rebuild } from '../../src/snapshot/rebuild.ts';
import type { Resource } from '../../src/snapshot/resource.ts';
import { testProxy } from '../../src/snapshot/testing.ts';
import type { World } from '../../src/snapshot/world.ts';
import { worldOfObjects } from '../support/mesh-world.ts';
import { type FieldCase, fieldCases, goldensAsCases } from './field-cases.ts';
import { fieldsWithoutEffect, kindsElsewhere } from './fields-without-effect.ts';
import { makeProxy } from './mesh.ts';
import { alternatives, type FieldUse, fieldsOf, specSchemas, usesIn, withValue } from './schema-fields.ts';

const own = fieldCases();
const goldens = goldensAsCases(fileURLToPath(new URL('../..', import.meta.url)));
const admit = createAdmitObject(createBuiltInRegistry());
const said = [createProblems(features), createStatuses(features)];
/** Of the cases that set a field, so many are tried: of those made for it the smallest first, then goldens. */
const mostTries = 8;
/** Seconds of work for the kinds with the most fields; ten times that on a machine with other work. */
const patienceMs = 300_000;

interface Candidate extends FieldUse {
  readonly of: FieldCase;
  /** Which object. */
  readonly index: number;
}

function worldOf({ mesh, usage }: FieldCase, objects: readonly ConfigObject[]): World {
  const world = worldOfObjects(objects, mesh);
  world.apply(
    Object.entries(usage).flatMap(([identity, used]) =>
      usageChanges(identity, { hosts: [], unknown: [], full: false, ...used }),
    ),
  );
  return world;
}

/** A line per resource, and per item that could not be made. */
function linesOf(
  world: World,
  { mesh, name }: FieldCase,
  proxy: MeshProxy,
  collections: readonly Collection<Resource>[],
): string[] {
  const lines: string[] = [];
  const types = rebuild(world, mesh, proxy, collections, {
    onFailure: ({ collection, key, error }) => lines.push(`${name} failed: ${collection} ${key} ${error}`),
  });
  for (const [type, byName] of types)
    for (const resource of byName.values()) lines.push(`${type} ${resource.name} ${resource.version}`);
  return lines.sort();
}

const resourcesOf = (of: FieldCase, objects: readonly ConfigObject[]): string[] => {
  const world = worldOf(of, objects);
  return Object.entries(of.proxies).flatMap(([label, spec]) =>
    linesOf(world, of, makeProxy(spec), roots.collections).map((line) => `${label} ${line}`),
  );
};

/** Statuses, and what whoever applies the object is told. */
function saidOf(of: FieldCase, objects: readonly ConfigObject[], changed: ConfigObject): string[] {
  const world = worldOf(of, objects);
  const nobody = testProxy('nobody');
  const problems = inspect(world, of.mesh, nobody, (view) => problemsOf(features, view, changed));
  return [
    ...linesOf(world, of, nobody, said),
    ...problems.map(({ origin, message }) => `${origin.path}: ${message}`),
  ];
}

/** Whether whoever applies the object is told something of the value itself, or of what it is part of. */
function isCriticised({ of, index, place }: Candidate): boolean {
  const object = of.objects[index] as ConfigObject;
  const path = place.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  const problems = inspect(worldOf(of, of.objects), of.mesh, testProxy('nobody'), (view) =>
    problemsOf(features, view, object),
  );
  return [...admit(object).issues.map((issue) => issue.path), ...problems.map(({ origin }) => origin.path)]
    .filter((told) => told !== '')
    .some((told) => path.slice(1).startsWith(told));
}

/** Whether what `view` shows of a case is another thing without the value, or with another one. */
function differs(
  candidate: Candidate,
  view: (of: FieldCase, objects: readonly ConfigObject[], changed: ConfigObject) => string[],
): boolean {
  const { of, index, place } = candidate;
  const object = of.objects[index] as ConfigObject;
  const before = view(of, of.objects, object).join('\n');
  return alternatives(candidate).some((value) => {
    const changed = withValue(object, place, value);
    return view(of, of.objects.with(index, changed), changed).join('\n') !== before;
  });
}

const baselines = new Map<FieldCase, string[]>();
/** Resources of a case as it is are made once. */
function remembered(of: FieldCase, objects: readonly ConfigObject[]): string[] {
  if (objects !== of.objects) return resourcesOf(of, objects);
  const known = baselines.get(of) ?? resourcesOf(of, objects);
  baselines.set(of, known);
  return known;
}

function hasEffect(candidates: readonly Candidate[]): boolean {
  const tried = candidates.slice(0, mostTries);
  return (
    tried.some((one) => differs(one, remembered)) ||
    tried.some((one) => differs(one, saidOf)) ||
    tried.some(isCriticised)
  );
}

/** Kind → path → where it is set, in small cases first. */
function candidates(): Map<string, Map<string, Candidate[]>> {
  const found = new Map([...specSchemas.keys()].map((kind) => [kind, new Map<string, Candidate[]>()]));
  const bySize = (list: readonly FieldCase[]) =>
    [...list].sort((a, b) => a.objects.length - b.objects.length);
  for (const of of [...bySize(own), ...bySize(goldens)])
    of.objects.forEach((object, index) => {
      const kind = `${splitApiVersion(object.apiVersion).group}/${object.kind}`;
      const schema = specSchemas.get(kind);
      const byPath = found.get(kind);
      if (!schema || !byPath) return;
      for (const use of usesIn(schema, object.spec)) {
        const list = byPath.get(use.path) ?? [];
        list.push({ ...use, of, index });
        byPath.set(use.path, list);
      }
    });
  return found;
}

test(
  'what the cases set is admitted, and compiles',
  () => {
    for (const { name, objects } of own)
      for (const object of objects) {
        const errors = admit(object).issues.filter(({ severity }) => severity === 'error');
        expect(errors, `${name}: ${object.kind} ${object.metadata.name}`).toEqual([]);
      }
    for (const one of own)
      expect(remembered(one, one.objects).filter((line) => line.includes(' failed: '))).toEqual([]);
  },
  patienceMs,
);

const known = candidates();
for (const [kind, schema] of specSchemas) {
  if (kindsElsewhere[kind]) continue;
  test(
    `every field of ${kind} has an effect, or a reason why not`,
    () => {
      const excused = fieldsWithoutEffect[kind] ?? {};
      const fields = fieldsOf(schema);
      expect(fields).toEqual(expect.arrayContaining(Object.keys(excused)));
      const without = fields.filter((path) => !hasEffect(known.get(kind)?.get(path) ?? []));
      expect(without.sort()).toEqual(Object.keys(excused).sort());
    },
    patienceMs,
  );
}

test('kinds that are judged elsewhere exist', () => {
  expect([...specSchemas.keys()]).toEqual(expect.arrayContaining(Object.keys(kindsElsewhere)));
});

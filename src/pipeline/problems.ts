import type { ConfigObject } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import { encodedResource } from '../envoy/pack.ts';
import { uncoveredUses } from '../features/coverage.ts';
import type { Feature, Problem } from '../plan/feature.ts';
import { configKind } from '../snapshot/kinds.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../snapshot/query.ts';
import type { Resource } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';

/** The type under which problems travel through the engine; no proxy ever asks for it. */
export const problemsType = 'ostria/problems';

/**
 * What objects ask for and cannot have, per object, for status conditions: a collection of its own for an engine (or `rebuild`)
 * with one proxy that stands for nobody. A resource is named `Kind/namespace/name`; its bytes are the problems as JSON.
 * Defines queries: call it once in a process.
 */
export function createProblems(features: readonly Feature[]): Collection<Resource> {
  const kinds = [...new Set(features.flatMap((feature) => feature.kinds))].filter(hasProblems).sort();
  const indexes = new Map(
    kinds.map((kind) => [kind, defineIndex(`problems-${kind}`, configKind(kind), () => [''])] as const),
  );
  const keys = defineQuery('problems.keys', (view): readonly Key[] =>
    [...indexes].flatMap(([kind, index]) => view.list(index, '').map((key) => `${kind}/${key}`)),
  );
  const item = defineQuery('problems.item', (view, id: Key): Resource | undefined => {
    const slash = id.indexOf('/');
    const kind = id.slice(0, slash);
    const object = view.get(configKind(kind), id.slice(slash + 1)) as ConfigObject | undefined;
    if (!object) return undefined;
    const found = problemsOf(features, view, object);
    if (found.length === 0) return undefined;
    const bytes = new TextEncoder().encode(JSON.stringify(found));
    return encodedResource(problemsType, id, bytes, [originOf(object, '')]);
  });
  return defineCollection('problems', keys, item);
}

/** What one object asks for and cannot have. */
export function problemsOf(features: readonly Feature[], view: View, object: ConfigObject): Problem[] {
  return [...uncovered(object), ...features.flatMap((feature) => feature.problems?.(view, object) ?? [])];
}

/** Derived and core kinds have no condition of ours. */
function hasProblems(kind: string): boolean {
  return kind !== 'Secret' && kind !== 'EndpointSlice';
}

function originOf(object: ConfigObject, path: string): Origin {
  const { namespace = 'default', name } = object.metadata;
  return { kind: object.kind, namespace, name, path };
}

function uncovered(object: ConfigObject): Problem[] {
  return uncoveredUses(object).map(({ path, instead, note }) => ({
    origin: originOf(object, path),
    code: 'NotActedOn',
    message: `${path} is stored but not acted on${note ? '' : ' yet'}: ${instead}`,
    ...(note ? { note } : {}),
  }));
}

/** The problems that a resource of the collection holds. */
export function decodeProblems(resource: Resource): Problem[] {
  return JSON.parse(new TextDecoder().decode(resource.bytes)) as Problem[];
}

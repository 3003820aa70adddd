import { analyze } from '../analyze/analyze.ts';
import { analyzers } from '../analyze/index.ts';
import type { AdmissionHook, AdmissionRequest } from '../config/api-server/admission-hooks.ts';
import { type ConfigObject, objectKey } from '../config/object.ts';
import { features } from '../features/index.ts';
import { worldChanges } from '../model/for-compile.ts';
import { problemsOf } from '../pipeline/problems.ts';
import { statusProblems } from '../pipeline/status-problems.ts';
import type { Problem } from '../plan/feature.ts';
import { configKind } from '../snapshot/kinds.ts';
import { inspect } from '../snapshot/rebuild.ts';
import type { World } from '../snapshot/world.ts';
import { observer } from './observer.ts';

/** Told of one write; the object's status says all. */
const mostWarnings = 5;
const perObject = analyzers.filter((analyzer) => analyzer.perObject && analyzer.byDefault !== false);
/** Kinds written by machines, many at a time, that nobody reads warnings for. */
const quietKinds: ReadonlySet<string> = new Set([
  'Pod',
  'EndpointSlice',
  'Endpoints',
  'Event',
  'Lease',
  'Secret',
]);

export interface AdmissionWarningParts {
  /** The mesh as compiled last. */
  readonly world: World;
  /** False: writes are on their way into `world`, and what seems to be missing may be among them. */
  readonly isCurrent: () => boolean | Promise<boolean>;
  readonly now: () => number;
}

/**
 * Warns whoever writes an object of what is wrong with it, as kubectl and others show: what the object says of itself (analyzers), and
 * what it asks of the mesh and cannot have, the same that its status will say. Costs what one object costs, whatever the mesh has.
 */
export function admissionWarnings(parts: AdmissionWarningParts): AdmissionHook {
  return {
    name: 'warnings',
    validate: async (request) => {
      const found = await warningsOf(request, parts);
      for (const warning of found.slice(0, mostWarnings)) request.warn(warning);
      return [];
    },
  };
}

async function warningsOf(
  { object, operation, subresource, kind }: AdmissionRequest,
  parts: AdmissionWarningParts,
): Promise<string[]> {
  if (!object || operation === 'DELETE' || subresource !== '' || quietKinds.has(kind.kind)) return [];
  try {
    const found = analyze([{ object }], { analyzers: perObject, judge: () => [], now: parts.now() }).filter(
      ({ severity }) => severity !== 'Info',
    );
    // The kind's own rules warn of some of it, in fewer words; most objects have nothing to compare.
    const told = new Set(found.length > 0 ? kind.validate?.(object).map(({ path }) => path) : []);
    const said = found
      .filter(({ path }) => !told.has(path))
      .map(({ code, path, message }) => line(code, path, message));
    const missing = (await parts.isCurrent()) ? foresee(structuredClone(object), kind.group, parts) : [];
    return [...said, ...missing.map(({ code, origin, message }) => line(code, origin.path, message))];
  } catch {
    // An object that the schema is about to refuse can be of any shape; warnings are worth no failure.
    return [];
  }
}

function line(code: string, path: string, message: string): string {
  return path === '' || message.startsWith(path) ? `[${code}] ${message}` : `[${code}] ${path}: ${message}`;
}

/** What would be wrong with an object if it were in the mesh: it is put there for the time of the question, which is one turn. */
function foresee(object: ConfigObject, group: string, { world, now }: AdmissionWarningParts): Problem[] {
  const key = objectKey(object);
  const changes = worldChanges([{ group, kind: object.kind, key, object }]);
  const before = changes.map((change) => ({
    ...change,
    value: world.get(configKind(change.kind), change.key),
  }));
  world.apply(changes);
  try {
    const [change] = changes;
    const value = change && (world.get(configKind(change.kind), change.key) as ConfigObject | undefined);
    if (!value) return [];
    const found = inspect(world, world.mesh, observer, (view) => [
      ...problemsOf(features, view, value),
      ...statusProblems(features, view, change.kind, value),
    ]);
    return found.filter(
      ({ note, from, until }) => !note && now() >= (from ?? 0) && now() < (until ?? Infinity),
    );
  } finally {
    world.apply(before);
  }
}

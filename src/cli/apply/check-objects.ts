import type { ConfigObject } from '../../config/object.ts';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import { deepEqual } from '../../kit/deep-equal.ts';
import { pooled } from '../../kit/pooled.ts';
import type { ApiClient } from '../api/api-client.ts';
import { type ApiResource, discover, isNotFound, resourceOfObject } from '../api/discovery.ts';
import {
  type ApplyOptions,
  applyBody,
  displayName,
  explainRefusal,
  formatProblem,
  placeOf,
  unknownKind,
  type Verdict,
} from './apply-objects.ts';

/** What the server says of objects that nobody has written yet. */
export interface CheckedObjects {
  /** Lines for people, with file:line:column, in the order of the files. */
  readonly problems: readonly string[];
  /** How many objects are refused. */
  readonly refused: number;
  readonly verdicts: ReadonlyMap<ParsedObject, Verdict>;
}

/** Dry runs on the way at a time. */
const inFlight = 32;

/**
 * Has the server check all objects and change nothing (dry run), so that a set goes through as a whole or not at all. What
 * depends on a namespace or a CustomResourceDefinition that comes with the set is checked here, by the same rules. `compare` finds
 * out at the price of a read each which objects would stay as they are.
 */
export async function checkObjects(
  client: ApiClient,
  parsed: readonly ParsedObject[],
  options: ApplyOptions,
  compare = false,
): Promise<CheckedObjects> {
  const resources = await discover(client);
  const check = (one: ParsedObject): Promise<Verdict> | Verdict => {
    const resource = resourceOfObject(resources, one.object);
    return resource ? dryRun(client, one, resource, options, compare) : unknown(one);
  };
  const verdicts = new Map<ParsedObject, Verdict>();
  const judge = async (group: readonly ParsedObject[]): Promise<void> => {
    const found = await pooled(group, inFlight, async (one) => check(one));
    group.forEach((one, i) => {
      verdicts.set(one, found[i] as Verdict);
    });
  };
  await judge(parsed.filter(({ object }) => isNamespace(object)));
  const arriving = new Set(
    [...verdicts].flatMap(([{ object }, { before, problems }]) =>
      before === undefined && problems.length === 0 ? [object.metadata.name] : [],
    ),
  );
  const definitions = parsed.map(({ object }) => object).filter(isDefinition);
  const ahead = (one: ParsedObject): boolean => {
    const resource = resourceOfObject(resources, one.object);
    if (!resource) return definitions.some((definition) => defines(definition, one.object));
    return resource.namespaced && arriving.has(one.object.metadata.namespace || options.namespace);
  };
  const rest = parsed.filter((one) => !verdicts.has(one));
  const early = rest.filter(ahead);
  await judge(rest.filter((one) => !ahead(one)));
  if (early.length > 0) {
    const { createLocalCheck } = await import('./check-locally.ts');
    const issuesOf = createLocalCheck(definitions);
    for (const one of early) verdicts.set(one, locally(one, resources, issuesOf, options));
  }
  const inOrder = parsed.map((one) => verdicts.get(one) as Verdict);
  return {
    problems: inOrder.flatMap(({ problems }) => problems),
    refused: inOrder.filter(({ problems }) => problems.length > 0).length,
    verdicts,
  };
}

async function dryRun(
  client: ApiClient,
  one: ParsedObject,
  resource: ApiResource,
  options: ApplyOptions,
  compare: boolean,
): Promise<Verdict> {
  const name = displayName(resource, one.object);
  const { path, body } = placeOf(one.object, resource, options.namespace);
  try {
    const { status, json, warnings } = await applyBody(client, path, body, { ...options, dryRun: true });
    if (status === 201) return { name, before: undefined, outcome: 'created', warnings, problems: [] };
    const after = json as ConfigObject;
    const same = compare && deepEqual(content(after), content(await client.get<ConfigObject>(path)));
    const outcome = same ? 'unchanged' : 'configured';
    return { name, before: after.metadata.resourceVersion, outcome, warnings, problems: [] };
  } catch (error) {
    const problems =
      isNotFound(error) && resource.namespaced ? [noNamespace(one, options)] : explainRefusal(one, error);
    return { name, before: undefined, outcome: 'failed', warnings: [], problems };
  }
}

/** The object without the book-keeping of its writes. */
function content({ metadata, ...rest }: ConfigObject): unknown {
  const { managedFields: _owners, resourceVersion: _version, generation: _generation, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

/** Only the namespace can be missing when something is applied. */
function noNamespace({ object, positions }: ParsedObject, { namespace }: ApplyOptions): string {
  const wanted = object.metadata.namespace || namespace;
  const message = `${object.kind} ${object.metadata.name}: there is no namespace ${wanted}; create it first, or in the same files`;
  return formatProblem({ ...positions.at('metadata.namespace'), code: '', message });
}

function unknown(one: ParsedObject): Verdict {
  const { name, problems } = unknownKind(one);
  return { name, before: undefined, outcome: 'failed', warnings: [], problems };
}

function locally(
  one: ParsedObject,
  resources: readonly ApiResource[],
  issuesOf: (object: ConfigObject) => { readonly path: string; readonly message: string }[],
  options: ApplyOptions,
): Verdict {
  const { object, positions } = one;
  const resource = resourceOfObject(resources, object) ?? {
    singular: object.kind.toLowerCase(),
    group: object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '',
  };
  const namespace = object.metadata.namespace || options.namespace;
  const problems = issuesOf({ ...object, metadata: { ...object.metadata, namespace } }).map(
    ({ path, message }) =>
      formatProblem({
        ...positions.at(path),
        code: '',
        message: `${object.kind} ${object.metadata.name}: ${path === '' ? '' : `${path}: `}${message}`,
      }),
  );
  const outcome = problems.length > 0 ? 'failed' : 'created';
  return { name: displayName(resource, object), before: undefined, outcome, warnings: [], problems };
}

function isNamespace({ apiVersion, kind }: ConfigObject): boolean {
  return apiVersion === 'v1' && kind === 'Namespace';
}

function isDefinition({ apiVersion, kind }: ConfigObject): boolean {
  return apiVersion === 'apiextensions.k8s.io/v1' && kind === 'CustomResourceDefinition';
}

function defines(definition: ConfigObject, { apiVersion, kind }: ConfigObject): boolean {
  const spec = definition.spec as { group?: unknown; names?: { kind?: unknown } } | undefined;
  return spec?.names?.kind === kind && spec.group === apiVersion.split('/')[0];
}

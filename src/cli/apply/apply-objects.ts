import type { ConfigObject } from '../../config/object.ts';
import type { ParsedObject, YamlProblem } from '../../config/yaml-documents.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { type ApiResource, discover, resourceOfObject, resourcePath } from '../api/discovery.ts';

/** Field manager of what users apply. */
export const defaultFieldManager = 'ostria';

export interface ApplyOptions {
  readonly fieldManager: string;
  /** Take over fields that another manager owns. */
  readonly force: boolean;
  readonly dryRun?: boolean;
  /** For namespaced objects without one. */
  readonly namespace: string;
  readonly signal?: AbortSignal;
}

export type Outcome = 'created' | 'configured' | 'unchanged' | 'failed';

/** What a server that changes nothing says of an object. */
export interface Verdict {
  /** `virtualservice.networking.istio.io/reviews`. */
  readonly name: string;
  /** resourceVersion of the object that is there now; undefined where there is none. */
  readonly before: string | undefined;
  /** What a write would come to. `unchanged` is told from `configured` only where the check was asked to. */
  readonly outcome: Outcome;
  readonly warnings: readonly string[];
  /** Empty: it may be written. */
  readonly problems: readonly string[];
}

/** What became of one object. */
export interface Applied {
  readonly source: ParsedObject;
  /** `virtualservice.networking.istio.io/reviews`, as kubectl says it. */
  readonly name: string;
  readonly outcome: Outcome;
  readonly warnings: readonly string[];
  /** Of `failed`: lines for people, with file:line:column where known. */
  readonly problems: readonly string[];
  /** What the server made of it, and where it is; undefined where it failed. */
  readonly written?: { readonly path: string; readonly object: ConfigObject };
}

/** How many objects of one kind are on the way at a time. */
const inFlight = 16;

/**
 * Applies objects that were checked, namespaces and CRDs first, and yields in that order. Neighbours of one kind go out together, so that a file
 * of thousands reaches the proxies in a few updates; the next kind waits until they are acknowledged, since it may refer to them.
 */
export async function* applyObjects(
  client: ApiClient,
  parsed: readonly ParsedObject[],
  verdicts: ReadonlyMap<ParsedObject, Verdict>,
  options: ApplyOptions,
): AsyncGenerator<Applied> {
  let resources = await discover(client);
  // By identity, not by object: one may stand twice in the files.
  const versions = new Map<string, string | undefined>();
  for (const [{ object }, { before }] of verdicts) versions.set(identityOf(object, options), before);
  for (const group of neighbours(inOrder(parsed), options.namespace)) {
    const [head] = group;
    if (!head) continue;
    let resource = resourceOfObject(resources, head.object);
    if (!resource) {
      // A CRD applied a moment ago may have brought it.
      resources = await discover(client);
      resource = resourceOfObject(resources, head.object);
    }
    const found = resource;
    yield* await Promise.all(
      group.map((one) => (found ? applyOne(client, one, found, versions, options) : unknownKind(one))),
    );
  }
}

function identityOf({ apiVersion, kind, metadata }: ConfigObject, { namespace }: ApplyOptions): string {
  return `${apiVersion} ${kind} ${metadata.namespace || namespace}/${metadata.name}`;
}

/** Runs of objects that may go out together: at most `inFlight`, of one kind, none twice. */
function neighbours(parsed: readonly ParsedObject[], namespace: string): ParsedObject[][] {
  const groups: ParsedObject[][] = [];
  let kind = '';
  let names = new Set<string>();
  for (const one of parsed) {
    const { apiVersion, metadata } = one.object;
    const kindOfOne = `${apiVersion} ${one.object.kind}`;
    const name = `${metadata.namespace || namespace}/${metadata.name}`;
    const group = groups.at(-1);
    if (group && kindOfOne === kind && names.size < inFlight && !names.has(name)) group.push(one);
    else {
      groups.push([one]);
      kind = kindOfOne;
      names = new Set();
    }
    names.add(name);
  }
  return groups;
}

const first = ['Namespace', 'CustomResourceDefinition', 'ServiceAccount'];

function inOrder(parsed: readonly ParsedObject[]): ParsedObject[] {
  const rank = ({ object }: ParsedObject): number => {
    const at = first.indexOf(object.kind);
    return at < 0 ? first.length : at;
  };
  return [...parsed].sort((a, b) => rank(a) - rank(b));
}

export function displayName(resource: Pick<ApiResource, 'singular' | 'group'>, object: ConfigObject): string {
  return `${resource.singular}${resource.group === '' ? '' : `.${resource.group}`}/${object.metadata.name}`;
}

export function unknownKind(parsed: ParsedObject): Applied {
  const { object, positions } = parsed;
  const message = `the API server has no kind ${object.kind} of ${object.apiVersion}; check apiVersion and kind, or apply its CustomResourceDefinition first`;
  return {
    source: parsed,
    name: `${object.kind.toLowerCase()}/${object.metadata.name}`,
    outcome: 'failed',
    warnings: [],
    problems: [formatProblem({ ...positions.at('kind'), code: '', message })],
  };
}

async function applyOne(
  client: ApiClient,
  parsed: ParsedObject,
  resource: ApiResource,
  versions: Map<string, string | undefined>,
  options: ApplyOptions,
): Promise<Applied> {
  const { object } = parsed;
  const identity = identityOf(object, options);
  const name = displayName(resource, object);
  const { path, body } = placeOf(object, resource, options.namespace);
  try {
    const { status, json, warnings } = await applyBody(client, path, body, options);
    const after = (json as ConfigObject).metadata.resourceVersion;
    const outcome =
      status === 201 ? 'created' : versions.get(identity) === after ? 'unchanged' : 'configured';
    versions.set(identity, after);
    const written = { path, object: json as ConfigObject };
    return { source: parsed, name, outcome, warnings, problems: [], written };
  } catch (error) {
    return { source: parsed, name, outcome: 'failed', warnings: [], problems: explainRefusal(parsed, error) };
  }
}

/** Where an object goes, and what is sent there. */
export function placeOf(
  object: ConfigObject,
  resource: ApiResource,
  defaultNamespace: string,
): { path: string; body: ConfigObject } {
  const namespace = resource.namespaced ? object.metadata.namespace || defaultNamespace : undefined;
  return {
    path: resourcePath(resource, namespace, object.metadata.name),
    body: namespace === undefined ? object : { ...object, metadata: { ...object.metadata, namespace } },
  };
}

/** What `ostria rollback` writes under. */
export const rollbackManager = 'ostria-rollback';

/**
 * Whose fields are taken over without being asked: what `kubectl apply` without `--server-side` writes under, and a rollback, which
 * only brought back what was applied before.
 */
const takenOver = ['"kubectl-client-side-apply"', `"${rollbackManager}"`];

/**
 * One server-side apply. Fields that `kubectl apply` set are taken over, as kubectl itself does when it changes to server-side
 * apply, and those that a rollback brought back; those of everybody else are a conflict unless `force`.
 */
export async function applyBody(
  client: ApiClient,
  path: string,
  body: ConfigObject,
  options: ApplyOptions,
): ReturnType<ApiClient['apply']> {
  const once = (force: boolean) =>
    client.apply(path, body, {
      fieldManager: options.fieldManager,
      force,
      dryRun: options.dryRun ?? false,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  try {
    return await once(options.force);
  } catch (error) {
    const conflicts = conflictsOf(error);
    if (conflicts.length === 0 || !conflicts.every(isTakenOver)) throw error;
    return once(true);
  }
}

function isTakenOver({ message }: { readonly message?: string }): boolean {
  return takenOver.some((manager) => message?.includes(manager));
}

function conflictsOf(error: unknown): readonly { readonly message?: string }[] {
  if (!(error instanceof ApiError) || error.status !== 409) return [];
  return (error.details.causes ?? []).filter(({ reason }) => reason === 'FieldManagerConflict');
}

/** A refusal as `file:line:column: object: field: why`, one line per cause. */
export function explainRefusal({ object, positions }: ParsedObject, error: unknown): string[] {
  const who = `${object.kind} ${object.metadata.namespace ? `${object.metadata.namespace}/` : ''}${object.metadata.name}`;
  const causes = error instanceof ApiError ? (error.details.causes ?? []) : [];
  const located = causes.filter(({ message }) => message !== undefined);
  if (located.length === 0)
    return [
      formatProblem({ ...positions.at('metadata.name'), code: '', message: `${who}: ${messageOf(error)}` }),
    ];
  const mend =
    conflictsOf(error).length > 0
      ? '; leave the field to that manager, or take it over with --force-conflicts'
      : '';
  return located.map(({ field, message = '' }) =>
    formatProblem({
      ...positions.at(field ?? ''),
      code: '',
      message: `${who}: ${field && !message.includes(field) ? `${field}: ` : ''}${message}${mend}`,
    }),
  );
}

export function formatProblem({ file, line, column, message }: YamlProblem): string {
  return `${file}:${line}:${column}: ${message}`;
}

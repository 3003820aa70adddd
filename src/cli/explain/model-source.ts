import type { SourceObject } from '../../analyze/analyzer.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../config/object.ts';
import { createAdmitObject } from '../../control-plane/admit-object.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { createModel, type Model, type ModelOptions } from '../../model/model.ts';
import type { ModelObject } from '../../model/model-objects.ts';
import { roots } from '../../pipeline/roots.ts';
import { defaultMeshConfig, type MeshConfig } from '../../registry/mesh-config.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import { readSources } from '../analyze/read-sources.ts';
import type { ApiClient } from '../api/api-client.ts';
import { objectsAt } from '../history/objects-at.ts';
import { formatTime, parseWhen } from '../history/parse-when.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { appliedPositions } from '../origins/applied-positions.ts';
import { plannedInstances } from './planned-instances.ts';

/** What a model is made from. */
export interface ModelSource {
  readonly objects: readonly ModelObject[];
  readonly options: Omit<ModelOptions, 'roots'>;
  /** Lines for people, on standard error. */
  readonly notes: readonly string[];
  /** What was taken for granted in the making. */
  readonly assumptions: readonly string[];
}

/** `onDemand`: for a single question. */
export function modelOf(
  { objects, options }: ModelSource,
  { onDemand = false }: { readonly onDemand?: boolean } = {},
): Model {
  return createModel(objects, { ...options, roots: roots.collections, onDemand });
}

/** Problems of files that are told before the rest is only counted. */
const mostTold = 10;

/** A mesh as files describe it. Throws `ObjectInvalid` for what would not be admitted. */
export async function sourceOfFiles(
  files: readonly string[],
  flags: { readonly recursive?: boolean; readonly namespace?: string },
): Promise<ModelSource> {
  const { sources, broken, meshFiles } = readSources(files, flags);
  // The pods of mesh files are made below, with what each copy is given.
  const { admitted, problems } = admitAll(
    sources.filter(({ object, positions }) => positions || object.kind !== 'Pod'),
  );
  const wrong = [...broken, ...problems];
  if (wrong.length > 0) {
    const more = wrong.length > mostTold ? [`… and ${wrong.length - mostTold} more`] : [];
    throw new CodedError('ObjectInvalid', [...wrong.slice(0, mostTold), ...more].join('\n'));
  }
  const planned = (await Promise.all(meshFiles.map(plannedInstances))).filter((one) => one !== undefined);
  const instances = planned.flatMap(({ objects }) => objects.map((object) => ({ object })));
  const standalone = meshFiles.length > 0;
  const trustDomain = meshFiles.flatMap(trustDomainOf)[0] ?? defaultMeshConfig.trustDomain;
  return {
    objects: [...admitted, ...instances],
    options: {
      mesh: {
        ...defaultMeshConfig,
        trustDomain,
        ...(standalone ? { defaultMtlsMode: 'STRICT' as const } : {}),
      },
      captures: new Map(planned.flatMap(({ captures }) => [...captures])),
      fill: true,
    },
    notes: [],
    assumptions: [
      ...modeAssumption(admitted, standalone),
      ...(instances.length > 0
        ? ['the ports of listeners on this machine are made up: ostria up allocates them']
        : []),
    ],
  };
}

function trustDomainOf(file: string): string[] {
  const read = readMeshFile(file);
  return read.ok ? [read.mesh.trustDomain] : [];
}

/** Which connections servers take where no policy of the whole mesh says so. */
function modeAssumption(objects: readonly ModelObject[], standalone: boolean): string[] {
  const { rootNamespace } = defaultMeshConfig;
  const isSaid = objects.some(({ object: { kind, metadata, spec } }) => {
    const { selector, mtls } = (spec ?? {}) as { selector?: object; mtls?: { mode?: string } };
    const speaks = selector === undefined && mtls?.mode !== undefined && mtls.mode !== 'UNSET';
    return kind === 'PeerAuthentication' && metadata.namespace === rootNamespace && speaks;
  });
  if (isSaid) return [];
  const mode = standalone
    ? 'mutual TLS only (STRICT), as in the meshes of ostria up'
    : 'plaintext too (PERMISSIVE), as in Istio';
  return [`where no PeerAuthentication says otherwise, servers take ${mode}`];
}

/** Objects as the server would store them. Kinds that it does not know are left out: they are other programs'. */
function admitAll(sources: readonly SourceObject[]): { admitted: ModelObject[]; problems: string[] } {
  const kinds = createBuiltInRegistry();
  const admit = createAdmitObject(kinds);
  const admitted: ModelObject[] = [];
  const problems: string[] = [];
  for (const { object, positions } of sources) {
    const [group = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : [''];
    if (!kinds.byKind(group, object.kind)) continue;
    const verdict = admit(object);
    const errors = verdict.issues.filter(({ severity }) => severity === 'error');
    for (const { path, message } of errors) {
      const at = positions?.at(path);
      const place = at ? `${at.file}:${at.line}:${at.column}: ` : '';
      problems.push(
        `${place}${object.kind} ${object.metadata.name}: ${path === '' ? '' : `${path}: `}${message}`,
      );
    }
    admitted.push({ object: verdict.object, ...(positions ? { positions } : {}) });
  }
  return { admitted, problems };
}

/** Kinds that say nothing of where requests go. */
const leftOut: ReadonlySet<string> = new Set([
  'Event',
  'Event.events.k8s.io',
  'Lease.coordination.k8s.io',
  'ServiceAccount',
  'ReplicaSet.apps',
  'ControllerRevision.apps',
]);

function readKinds(): ReadonlySet<string> {
  return new Set(
    createBuiltInRegistry()
      .all()
      .map(({ kind, group }) => (group === '' ? kind : `${kind}.${group}`))
      .filter((kind) => !leftOut.has(kind)),
  );
}

/** A running mesh as it is now, or as it was (`at`: as `ostria get --at` takes it). */
export async function sourceOfMesh(client: ApiClient, at?: string): Promise<ModelSource> {
  const [{ objects, notes }, settings, proxies] = await Promise.all([
    at === undefined ? objectsNow(client) : objectsThen(client, at),
    client.get<{ readonly inForce: MeshConfig }>('/debug/mesh-config'),
    client.get<readonly MeshProxy[]>('/debug/proxies'),
  ]);
  const positionsOf = appliedPositions(client);
  return {
    objects: objects.map((object) => {
      const positions = positionsOf(object);
      return { object, ...(positions ? { positions } : {}) };
    }),
    // The settings in force hold those of the ConfigMap already; of an earlier time its own go before them.
    options: { mesh: settings.inForce, proxies, fill: false },
    notes,
    assumptions: [],
  };
}

interface ReadObjects {
  readonly objects: readonly ConfigObject[];
  readonly notes: readonly string[];
}

async function objectsNow(client: ApiClient): Promise<ReadObjects> {
  const { sources, unread } = await readMesh(client, readKinds());
  const notes = unread.length > 0 ? [`Not read, since this user may not: ${unread.join(', ')}`] : [];
  return { objects: sources.map(({ object }) => object), notes };
}

async function objectsThen(client: ApiClient, at: string): Promise<ReadObjects> {
  const { moment, objects } = await objectsAt(client, parseWhen(at));
  return { objects, notes: [`As of ${formatTime(moment.at)} (revision ${moment.revision}).`] };
}

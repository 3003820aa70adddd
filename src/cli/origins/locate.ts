import { existsSync } from 'node:fs';
import type { ConfigObject } from '../../config/object.ts';
import { originId, parseOriginId } from '../../config/origin.ts';
import type { ObjectPositions, Position } from '../../config/source-map.ts';
import type { ApiClient } from '../api/api-client.ts';
import { collectObjects, shortPath } from '../apply/collect-objects.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { parsedPlaces, type ReportedPlace } from '../report/report-positions.ts';
import { readJsonFile } from '../state/json-file.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { readSupervisorConfig } from '../supervisor/supervisor-config.ts';
import { appliedFiles } from './applied-files.ts';

/** An object as a file says it, and where. */
export interface PlacedObject {
  readonly object: ConfigObject;
  readonly positions: ObjectPositions;
}

/** Finds where what origins name stands in files. */
export interface Locator {
  /** Positions by origin id; what stands in no known file is left out. */
  locate(ids: Iterable<string>): Promise<ReadonlyMap<string, Position>>;
}

/** Where a mesh's files are known from. */
export interface KnownFiles {
  /** Of a mesh of this machine: what its mesh file applies. */
  readonly paths?: StatePaths | undefined;
  /** The API server, with what was applied to it from here. */
  readonly server?: string | undefined;
  /** Asked for what it reads from files itself (`--config`). */
  readonly client?: ApiClient | undefined;
}

/**
 * The files are read when the first origin is looked for: those that were applied last win, and one that is gone or broken is passed over. Where
 * a file was edited since, positions are those of now.
 */
export function createLocator({ paths, server, client }: KnownFiles): Locator {
  let index: ReadonlyMap<string, PlacedObject> | undefined;
  return {
    async locate(ids) {
      const wanted = [...new Set(ids)];
      const found = new Map<string, Position>();
      index ??= appliedObjects({ paths, server });
      for (const id of wanted) {
        const origin = parseOriginId(id);
        if (!origin) continue;
        const object = index.get(originId({ ...origin, path: '' }));
        const position = object?.positions.at(origin.path);
        if (position) found.set(id, position);
      }
      const missing = wanted.filter((id) => !found.has(id));
      if (client && missing.length > 0)
        for (const [id, position] of await askServer(client, missing)) found.set(id, position);
      return found;
    },
  };
}

/** What was applied from files of this machine, as the files say it now, by the id of the object's origin. */
export function appliedObjects({ paths, server }: KnownFiles): ReadonlyMap<string, PlacedObject> {
  const reported = paths && readJsonFile<Record<string, ReportedPlace>>(paths.reportedPlaces);
  if (reported) return parsedPlaces(reported);
  return indexOf([...meshFiles(paths), ...(server === undefined ? [] : appliedFiles(server))]);
}

function meshFiles(paths: StatePaths | undefined): readonly string[] {
  if (!paths) return [];
  try {
    const result = readMeshFile(readSupervisorConfig(paths.directory).meshFile);
    return result.ok ? result.mesh.apply : [];
  } catch {
    return [];
  }
}

function indexOf(files: readonly string[]): ReadonlyMap<string, PlacedObject> {
  const index = new Map<string, PlacedObject>();
  for (const file of files) {
    if (!existsSync(file)) continue;
    try {
      for (const parsed of collectObjects([file], { recursive: true }).objects) {
        const { kind, metadata } = parsed.object;
        for (const namespace of metadata.namespace ? [metadata.namespace] : ['default', ''])
          index.set(originId({ kind, namespace, name: metadata.name, path: '' }), parsed);
      }
    } catch {
      // A directory without configuration, or too much of it.
    }
  }
  return index;
}

/** Origins asked about at a time: they travel in a URL. */
const perRequest = 20;

async function askServer(client: ApiClient, ids: readonly string[]): Promise<[string, Position][]> {
  const found: [string, Position][] = [];
  try {
    for (let at = 0; at < ids.length; at += perRequest) {
      const query = new URLSearchParams(ids.slice(at, at + perRequest).map((id) => ['origin', id]));
      const answer = await client.get<Readonly<Record<string, Position>>>(`/debug/positions?${query}`);
      for (const [id, position] of Object.entries(answer))
        found.push([id, { ...position, file: shortPath(position.file) }]);
    }
  } catch {
    // An API server that is not ours knows of no files.
  }
  return found;
}

/** `file:line:column`. */
export function formatPosition({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`;
}

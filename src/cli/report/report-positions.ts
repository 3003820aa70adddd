import type { ConfigObject } from '../../config/object.ts';
import { originId } from '../../config/origin.ts';
import type { ObjectPositions } from '../../config/source-map.ts';
import type { Locator, PlacedObject } from '../origins/locate.ts';
import { redactObject } from './redact.ts';

/** Where an object that was applied stands in its file, field by field. */
export interface ReportedPlace {
  readonly object: ConfigObject;
  readonly file: string;
  /** JSON path → line and column, where they differ from those of the field around it. */
  readonly fields: Readonly<Record<string, readonly [number, number]>>;
}

/** Most fields that are looked up, of one object and in all; those further inside have the place of the one around them. */
const mostFields = 200;
const mostLookUps = 10_000;

/** Files do not travel with a report: only where things stood in them. By the id of the object's origin. */
export function reportPlaces(index: ReadonlyMap<string, PlacedObject>): Record<string, ReportedPlace> {
  let left = mostLookUps;
  return Object.fromEntries(
    [...index].map(([id, { object, positions }]) => {
      const paths = pathsOf(object, '').slice(0, Math.max(1, Math.min(mostFields, left)));
      left -= paths.length;
      return [id, { object: redactObject(object), file: positions.file, fields: fieldsOf(paths, positions) }];
    }),
  );
}

/** Places of objects that the control plane reads from files of its own: it tells them path by path. */
export async function placesOfServer(
  objects: readonly ConfigObject[],
  locator: Locator,
): Promise<Record<string, ReportedPlace>> {
  const idOf = ({ kind, metadata: { namespace = '', name } }: ConfigObject, path: string) =>
    originId({ kind, namespace, name, path });
  const starts = await locator.locate(objects.map((object) => idOf(object, '')));
  const places: Record<string, ReportedPlace> = {};
  let left = mostLookUps;
  for (const object of objects) {
    const start = starts.get(idOf(object, ''));
    if (!start) continue;
    const paths = pathsOf(object.spec, 'spec').slice(0, Math.min(mostFields, left));
    left -= paths.length;
    const found = await locator.locate(paths.map((path) => idOf(object, path)));
    const at = (path: string) => (path === '' ? start : found.get(idOf(object, path)));
    places[idOf(object, '')] = {
      object: redactObject(object),
      file: start.file,
      fields: fieldsOf(['', ...paths], { file: start.file, at }),
    };
  }
  return places;
}

function fieldsOf(paths: readonly string[], positions: ObjectPositions): ReportedPlace['fields'] {
  const fields: Record<string, readonly [number, number]> = {};
  for (const path of paths) {
    const place = positions.at(path);
    if (!place) continue;
    const around = lookUp(fields, parentOf(path));
    if (around?.[0] !== place.line || around[1] !== place.column) fields[path] = [place.line, place.column];
  }
  return fields;
}

/** JSON paths of a value and of the objects and lists in it, outer ones first. */
function pathsOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Array.isArray(value)
    ? value.flatMap((item, index) => pathsOf(item, `${path}[${index}]`))
    : Object.entries(value).flatMap(([name, item]) => pathsOf(item, path === '' ? name : `${path}.${name}`));
  return [path, ...inner];
}

function parentOf(path: string): string | undefined {
  if (path === '') return undefined;
  return path.slice(0, Math.max(0, path.lastIndexOf('.'), path.lastIndexOf('[')));
}

function lookUp(
  fields: ReportedPlace['fields'],
  path: string | undefined,
): readonly [number, number] | undefined {
  for (let at = path; at !== undefined; at = parentOf(at)) if (fields[at]) return fields[at];
  return undefined;
}

/** What `reportPlaces` told, as what was parsed. */
export function parsedPlaces(places: Readonly<Record<string, ReportedPlace>>): Map<string, PlacedObject> {
  return new Map(
    Object.entries(places).map(([id, { object, file, fields }]) => {
      const at = (path: string) => {
        const [line, column] = lookUp(fields, path) ?? [1, 1];
        return { file, line, column };
      };
      return [id, { object, positions: { file, at } }];
    }),
  );
}

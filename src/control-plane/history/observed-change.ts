import type { ConfigObject } from '../../config/object.ts';
import type { ObjectPositions } from '../../config/source-map.ts';
import { diffJson } from '../../kit/json-delta.ts';
import type { HistoryChange } from './history-entry.ts';
import { isRecorded, recordedForm, type SecretVersions, writerOf } from './recorded-form.ts';
import type { RecordedObject } from './segment-files.ts';

/** An object in force that came, changed or went. */
export interface ObservedChange {
  readonly group: string;
  readonly kind: string;
  readonly key: string;
  readonly object?: ConfigObject;
  readonly previous?: ConfigObject | undefined;
  readonly positions?: ObjectPositions;
}

export const isSecret = (id: string): boolean => id.startsWith('/Secret ');

/** A state as it is written. */
export function* recordedForms(
  objects: readonly ObservedChange[],
  secrets: ReadonlyMap<string, SecretVersions>,
): Generator<RecordedObject> {
  for (const { group, kind, key, object } of objects) {
    const id = `${group}/${kind}`;
    if (object && isRecorded(id))
      yield { kind: id, key, object: recordedForm(object, secrets.get(`${id} ${key}`)) };
  }
}

/** From this size on a delta is compared with the object itself. */
const longDelta = 512;

/** Undefined: nothing that is recorded differs. */
export function changeBetween(
  id: { readonly kind: string; readonly key: string },
  before: ConfigObject | undefined,
  after: ConfigObject,
): HistoryChange | undefined {
  if (!before) return { ...id, object: after };
  const delta = diffJson(before, after);
  if (delta.length === 0) return undefined;
  const text = JSON.stringify(delta);
  const isLong = text.length > longDelta && text.length > JSON.stringify(after).length;
  return isLong ? { ...id, object: after, replaced: true } : { ...id, delta };
}

/** Where an object from a file stands. */
export function placeOf(positions: ObjectPositions | undefined): { file?: string; line?: number } {
  if (!positions) return {};
  const at = positions.at('metadata.name') ?? positions.at('kind');
  return { file: positions.file, ...(at ? { line: at.line } : {}) };
}

export function byOf(before: ConfigObject | undefined, after: ConfigObject): { by?: string } {
  const by = writerOf(before, after);
  return by === undefined ? {} : { by };
}

import type { ConfigObject } from '../../config/object.ts';
import type { ExportedHistory } from '../../control-plane/history/export-history.ts';
import type { HistoryChange } from '../../control-plane/history/history-entry.ts';
import type { Past } from '../../control-plane/history/history-paths.ts';
import { changeBetween } from '../../control-plane/history/observed-change.ts';
import {
  applyChange,
  differenceBetween,
  idOf,
  listChanges,
  type State,
  stateAt,
} from '../../control-plane/history/read-history.ts';
import { createLog, findSegments, writeBase } from '../../control-plane/history/segment-files.ts';
import { redactObject, redactText, redactValue } from './redact.ts';

/**
 * A history as it may be shown. A delta alone does not tell which of its values are secret (the value of a variable stands apart from its
 * name), so each state is made, redacted, and compared anew.
 */
export function redactHistory({ begins, objects, entries }: ExportedHistory): ExportedHistory {
  const state: State = new Map(objects.map((one) => [idOf(one), one.object]));
  const shown = new Map<string, ConfigObject>();
  for (const [id, object] of state) shown.set(id, redactRecorded(object));
  const start = objects.map((one) => ({ ...one, object: shown.get(idOf(one)) ?? one.object }));
  const redactChange = (change: HistoryChange): HistoryChange[] => {
    const id = idOf(change);
    const { kind, key, object: _object, delta: _delta, replaced: _replaced, ...rest } = change;
    const before = shown.get(id);
    applyChange(state, change);
    const now = state.get(id);
    if (!now) {
      shown.delete(id);
      return [{ kind, key, ...rest }];
    }
    const after = redactRecorded(now);
    shown.set(id, after);
    // What changed may have been a secret: that something did is told all the same.
    const again = changeBetween({ kind, key }, before, after) ?? { kind, key, delta: [] };
    return [{ ...again, ...rest }];
  };
  return {
    begins,
    objects: start,
    entries: entries.map((entry) => ({
      ...entry,
      source: redactText(entry.source),
      changes: entry.changes.flatMap(redactChange),
    })),
  };
}

/** Of Secrets a history holds no values, but which of them changed when: that may be shown. */
function redactRecorded(object: ConfigObject): ConfigObject {
  if (object.kind !== 'Secret' || object.apiVersion !== 'v1') return redactObject(object);
  const { data, stringData, ...rest } = object as ConfigObject & Record<'data' | 'stringData', unknown>;
  const values = Object.entries({ ...(data as object), ...(stringData as object) });
  return {
    ...(redactValue(rest) as ConfigObject),
    data: Object.fromEntries(
      values.map(([name, text]) => [
        name,
        /^\[not kept: value \d+\]$/.test(String(text)) ? text : '[redacted]',
      ]),
    ),
  };
}

/** A history of a report, to be asked as that of a control plane. Its files are written to a directory. */
export async function openReportHistory(directory: string, exported: ExportedHistory): Promise<Past> {
  const { begins, objects, entries } = exported;
  const { file } = await createLog(directory, 1, { begins, changesBefore: 0, afterGap: false });
  try {
    for (const entry of entries) await file.appendFile(`${JSON.stringify(entry)}\n`);
  } finally {
    await file.close();
  }
  await writeBase(directory, 1, objects);
  const segments = await findSegments(directory);
  const last = entries.at(-1);
  const newest = last ? { revision: last.revision, at: last.at } : begins;
  return {
    list: async (query) => ({ ...(await listChanges(directory, segments, query)), begins, newest }),
    difference: (from, to) => differenceBetween(directory, segments, from, to),
    objectsAt: (point) => stateAt(directory, segments, point),
    export: () => Promise.resolve(Buffer.from(JSON.stringify(exported))),
  };
}

import type { HistoryEntry, Moment } from './history-entry.ts';
import { type RecordedObject, readBase, readEntries, type Segment } from './segment-files.ts';

/** Of logs, in bytes, what an export takes: the newest segments that fit. */
const mostExported = 16 * 1024 * 1024;

/** A stretch of the history that stands on its own. */
export interface ExportedHistory {
  /** When the state was that of `objects`. */
  readonly begins: Moment;
  readonly objects: readonly RecordedObject[];
  /** What happened since, oldest first. */
  readonly entries: readonly HistoryEntry[];
}

/** The newest part of a history, from the last gap on, as the JSON of an `ExportedHistory`; `null` where there is none yet. */
export async function exportHistory(
  directory: string,
  segments: readonly Segment[],
  mostBytes = mostExported,
): Promise<Buffer> {
  const start = startOf(segments, mostBytes);
  const first = segments[start];
  if (!first) return Buffer.from('null');
  const objects: string[] = [];
  for await (const object of readBase(directory, first.number)) objects.push(JSON.stringify(object));
  const entries: string[] = [];
  for (const { number } of segments.slice(start))
    for await (const entry of readEntries(directory, number)) entries.push(JSON.stringify(entry));
  return Buffer.from(
    `{"begins":${JSON.stringify(first.begins)},"objects":[${objects.join(',')}],"entries":[${entries.join(',')}]}`,
  );
}

/** The oldest segment with a state of its own from which on there is no gap, and no more than so many bytes; the newest, at least. */
function startOf(segments: readonly Segment[], mostBytes: number): number {
  let chosen = -1;
  let bytes = 0;
  for (let at = segments.length - 1; at >= 0; at--) {
    const segment = segments[at] as Segment;
    bytes += segment.bytes;
    if (bytes > mostBytes && chosen >= 0) break;
    if (segment.baseBytes > 0) chosen = at;
    if (segment.afterGap) break;
  }
  return chosen;
}

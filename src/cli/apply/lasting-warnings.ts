import { setTimeout as sleep } from 'node:timers/promises';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import type { ApiClient } from '../api/api-client.ts';
import { type Applied, type ApplyOptions, applyBody } from './apply-objects.ts';

/** Milliseconds after which the mesh has surely taken what was written. */
const takenAfter = 300;
/** Objects asked about again: who has more to mend reads their statuses. */
const mostAsked = 20;

/** Whether a warning speaks of what else the mesh has, which the next object of the same files may bring. */
export function isAboutOthers(warning: string): boolean {
  return /^\[(?!IST)\w+\]/.test(warning);
}

/** Of what was written together, the warnings that are still true when all of it is there. */
export async function lastingWarnings(
  client: ApiClient,
  applied: readonly Applied[],
  options: ApplyOptions,
): Promise<{ readonly source: ParsedObject; readonly name: string; readonly warnings: readonly string[] }[]> {
  const doubtful = applied.filter(({ warnings, written }) => written && warnings.some(isAboutOthers));
  if (doubtful.length === 0) return [];
  await sleep(takenAfter);
  return await Promise.all(
    doubtful.slice(0, mostAsked).map(async ({ source, name, written }) => {
      const { metadata, ...rest } = source.object;
      const namespace = written?.object.metadata.namespace;
      const body = { ...rest, metadata: namespace === undefined ? metadata : { ...metadata, namespace } };
      try {
        const { warnings } = await applyBody(client, written?.path ?? '', body, { ...options, dryRun: true });
        return { source, name, warnings: warnings.filter(isAboutOthers) };
      } catch {
        // Somebody else writes the object meanwhile: its status says what is true of it.
        return { source, name, warnings: [] };
      }
    }),
  );
}

/** A warning with the place in the file that it means, where it names a field. */
export function placed(warning: string, { positions }: ParsedObject): string {
  const path = /^\[\w+\] ([A-Za-z]\w*(?:[.[][^\s:]*)?): /.exec(warning)?.[1];
  const at = path === undefined ? undefined : positions.at(path);
  return at ? `${at.file}:${at.line}:${at.column}: ${warning}` : warning;
}

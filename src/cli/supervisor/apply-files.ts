import type { ParsedObject } from '../../config/yaml-documents.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { hashText } from '../../kit/hash.ts';
import type { ApiClient } from '../api/api-client.ts';
import { applyObjects, defaultFieldManager, formatProblem } from '../apply/apply-objects.ts';
import { checkObjects } from '../apply/check-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';

/** Objects that were applied, by `apiVersion kind namespace/name`, with the hash of what they were. */
type Applied = Record<string, string>;

/**
 * Applies what a mesh file lists under `apply`, as `ostria apply` would: the objects are the user's from then on. Each is applied
 * once for what it says; when it is edited in its file, again. What users changed or deleted by other means meanwhile outlives a
 * restart of the mesh. As there, one bad object keeps all from being applied. `record` is a file that must go where the
 * objects' store goes. Returns what was refused, one line each.
 */
export async function applyFiles(
  client: ApiClient,
  paths: readonly string[],
  record: string,
  signal: AbortSignal,
): Promise<string[]> {
  if (paths.length === 0) return [];
  try {
    const applied = readJsonFile<Applied>(record) ?? {};
    const { objects, problems } = collectObjects(paths, { recursive: true });
    if (problems.length > 0) return problems.map(formatProblem);
    const changed = objects.filter((parsed) => applied[identity(parsed)] !== hash(parsed));
    const options = {
      fieldManager: defaultFieldManager,
      force: true,
      namespace: 'default',
      signal,
    };
    const checked = await checkObjects(client, changed, options);
    if (checked.refused > 0) return [...checked.problems];
    const lines: string[] = [];
    for await (const { source, problems: refused } of applyObjects(
      client,
      changed,
      checked.verdicts,
      options,
    )) {
      lines.push(...refused);
      if (refused.length === 0) applied[identity(source)] = hash(source);
    }
    const kept = new Set(objects.map(identity));
    for (const key of Object.keys(applied)) if (!kept.has(key)) delete applied[key];
    writeJsonFile(record, applied);
    return lines;
  } catch (error) {
    return signal.aborted ? [] : [messageOf(error)];
  }
}

function identity({ object }: ParsedObject): string {
  const { namespace = '', name } = object.metadata;
  return `${object.apiVersion} ${object.kind} ${namespace}/${name}`;
}

function hash({ object }: ParsedObject): string {
  return hashText(JSON.stringify(object));
}

import { messageOf } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { applyObjects, formatProblem } from '../apply/apply-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { fieldManager } from './mesh-objects.ts';

/** Applies what a mesh file lists under `apply`. Returns what was refused, one line each. */
export async function applyFiles(
  client: ApiClient,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  if (paths.length === 0) return [];
  try {
    const { objects, problems } = collectObjects(paths, { recursive: true });
    const lines = problems.map(formatProblem);
    const options = { fieldManager, force: true, dryRun: false, namespace: 'default', signal };
    for await (const { problems: refused } of applyObjects(client, objects, options)) lines.push(...refused);
    return lines;
  } catch (error) {
    return signal.aborted ? [] : [messageOf(error)];
  }
}

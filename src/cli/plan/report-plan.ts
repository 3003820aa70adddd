import { impactOf } from '../../impact/impact.ts';
import type { Model, ModelChange } from '../../model/model.ts';
import { inNamespaceOf, type ModelObject } from '../../model/model-objects.ts';
import type { ApiClient } from '../api/api-client.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { modelOf, sourceOfMesh } from '../explain/model-source.ts';
import { formatStructured, type StructuredFormat } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';
import { formatPlan } from './format-impact.ts';
import { objectChanges } from './object-changes.ts';
import { structuredPlan } from './structured-plan.ts';

/** Prints what a change does, and returns the exit code that tells it. */
export function reportPlan(
  before: Model,
  change: Required<ModelChange>,
  timeMs: number,
  output: StructuredFormat | undefined,
): ExitCode {
  const after = before.update(change);
  const objects = objectChanges(before, change.objects, change.remove);
  const impact = impactOf(before, after, { timeMs, now: () => performance.now() });
  const told = { objects, impact, before, after };
  if (output) process.stdout.write(formatStructured(structuredPlan(told), output));
  else writeText(formatPlan(told, out));
  if (impact.changed.length > 0) return exitCodes.changes;
  return impact.cuts.length > 0 ? exitCodes.unknown : exitCodes.ok;
}

/** The same for objects that a running mesh would be given. */
export async function reportPlanOnMesh(
  client: ApiClient,
  objects: readonly ModelObject[],
  namespace: string,
  timeMs: number,
): Promise<ExitCode> {
  const source = await sourceOfMesh(client);
  for (const note of source.notes) process.stderr.write(`${note}\n`);
  const placed = objects.map(({ object, ...rest }) => ({
    ...rest,
    object: inNamespaceOf(object, namespace),
  }));
  return reportPlan(modelOf(source), { objects: placed, remove: [] }, timeMs, undefined);
}

import type { Origin } from '../../../config/origin.ts';
import type { Shaper } from '../../../plan/feature.ts';
import type { FileSecret, PlacedFiles } from '../../../plan/file-secret.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ruleFiles } from '../destination-rule/schema.ts';
import { serverFiles } from '../gateway/schema.ts';
import { policyFiles } from '../gateway-api/schema.ts';
import { ingressFiles } from '../sidecar/schema.ts';

/** Everything that names files for the asking proxy. */
function placed(view: View): PlacedFiles[] {
  return [serverFiles, ingressFiles, ruleFiles, policyFiles].flatMap((files) => view.call(files));
}

const names = defineQuery('file-secrets.names', (view): readonly Key[] => [
  ...new Set(placed(view).map(({ name }) => name)),
]);

/** The content, and the first that names it. */
function resolveFiles(view: View, wanted: Key): readonly Key[] | undefined {
  const found = placed(view).find(({ name }) => name === wanted);
  return found && [wanted, JSON.stringify(found.content), JSON.stringify(found.origin)];
}

/** Envoy reads the files, and again when others take their place by renaming. What is missing harms nothing but its own use. */
function planFiles(_view: View, name: Key, content: Key, origin: Key): SecretPlan {
  return secretPlan({
    name,
    content: JSON.parse(content) as FileSecret['content'],
    origin: JSON.parse(origin) as Origin,
  });
}

export const fileSecrets: Shaper<SecretPlan> = {
  name: 'files',
  keys: names,
  resolve: resolveFiles,
  plan: planFiles,
};

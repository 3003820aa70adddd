import { proxyType } from '../../../plan/attributes.ts';
import type { Shaper } from '../../../plan/feature.ts';
import type { FileSecret } from '../../../plan/file-secret.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { type Sidecar, sidecarFor, sidecarKind, sidecarOrigin } from '../../../plan/sidecar.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ingressFiles } from './ingress.ts';

interface PlacedSecret extends FileSecret {
  /** Position of the ingress listener that names the files. */
  readonly index: number;
}

function secretsOf(sidecar: Sidecar | undefined): PlacedSecret[] {
  return (sidecar?.spec?.ingress ?? []).flatMap(({ tls }, index) => {
    if (!tls || tls.mode === 'PASSTHROUGH') return [];
    const { pair, anchors } = ingressFiles(tls);
    return [pair, ...(anchors ? [anchors] : [])].map((secret) => ({ ...secret, index }));
  });
}

const names = defineQuery('sidecar.file-secrets', (view): readonly Key[] => {
  if (view.attribute(proxyType) !== 'sidecar') return [];
  const key = view.call(sidecarFor);
  return key === '' ? [] : [...new Set(secretsOf(view.get(sidecarKind, key)).map(({ name }) => name))];
});

function resolveFiles(view: View, name: Key): readonly Key[] {
  return [name, view.call(sidecarFor)];
}

/** Envoy reads the files, and again when others take their place by renaming. One that is missing closes its own port only. */
function planFiles(view: View, name: Key, key: Key): SecretPlan | undefined {
  const sidecar = view.get(sidecarKind, key);
  const found = secretsOf(sidecar).find((secret) => secret.name === name);
  if (!sidecar || !found) return undefined;
  return secretPlan({
    name,
    content: found.content,
    origin: sidecarOrigin(sidecar, `spec.ingress[${found.index}].tls`),
  });
}

export const ingressFileSecrets: Shaper<SecretPlan> = {
  name: 'sidecar-files',
  keys: names,
  resolve: resolveFiles,
  plan: planFiles,
};

import { proxyType } from '../../../plan/attributes.ts';
import type { PlacedFiles } from '../../../plan/file-secret.ts';
import { sidecarFor, sidecarKind, sidecarOrigin } from '../../../plan/sidecar.ts';
import { defineQuery } from '../../../snapshot/query.ts';
import { filesOf } from './ingress.ts';

/** The files that the ingress listeners of the asking proxy's Sidecar name. */
export const ingressFiles = defineQuery('sidecar.file-secrets', (view): readonly PlacedFiles[] => {
  if (view.attribute(proxyType) !== 'sidecar') return [];
  const key = view.call(sidecarFor);
  const sidecar = key === '' ? undefined : view.get(sidecarKind, key);
  if (!sidecar) return [];
  return (sidecar.spec?.ingress ?? []).flatMap(({ tls }, index) => {
    if (!tls || tls.mode === 'PASSTHROUGH') return [];
    const { pair, anchors } = filesOf(tls);
    const origin = sidecarOrigin(sidecar, `spec.ingress[${index}].tls`);
    return [pair, ...(anchors ? [anchors] : [])].map((files) => ({ ...files, origin }));
  });
});

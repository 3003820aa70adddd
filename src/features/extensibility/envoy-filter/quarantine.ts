import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { filterContent, quarantineKind, splitPatchId } from './schema.ts';

/** Whether a proxy refused a resource because of the filter that a patch belongs to, as the filter is now. */
export function isQuarantined(
  view: View,
  id: Key,
  resource: { readonly typeUrl: string; readonly name: string },
): boolean {
  const { key } = splitPatchId(id);
  const quarantine = view.get(quarantineKind, key);
  if (!quarantine || quarantine.content !== view.call(filterContent, key)) return false;
  return (
    quarantine.everywhere === true ||
    Object.hasOwn(quarantine.resources, `${resource.typeUrl} ${resource.name}`)
  );
}

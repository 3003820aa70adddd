import { deepEqual } from '../../kit/deep-equal.ts';
import type { Model } from '../../model/model.ts';
import { idOf, inNamespaceOf, type ModelObject, type ObjectId } from '../../model/model-objects.ts';

/** An object that comes, goes or becomes another. */
export interface ObjectChange {
  readonly change: 'added' | 'changed' | 'removed';
  readonly kind: string;
  /** `namespace/name`. */
  readonly name: string;
  /** `file:line`. */
  readonly place?: string;
}

export function objectChanges(
  before: Model,
  objects: readonly ModelObject[],
  removed: readonly ObjectId[],
): ObjectChange[] {
  const put = objects.flatMap(({ object, positions }): ObjectChange[] => {
    const placed = inNamespaceOf(object);
    const old = before.objects.get(idOf(placed))?.object;
    if (old && deepEqual(bare(old), bare(placed))) return [];
    const at = positions?.at('');
    return [
      {
        change: old ? 'changed' : 'added',
        kind: object.kind,
        name: nameOf(placed.metadata),
        ...(at ? { place: `${at.file}:${at.line}` } : {}),
      },
    ];
  });
  const gone = removed.flatMap((id): ObjectChange[] => {
    const old = before.objects.get(id)?.object;
    return old ? [{ change: 'removed', kind: old.kind, name: nameOf(old.metadata) }] : [];
  });
  return [...put, ...gone];
}

function nameOf({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return namespace ? `${namespace}/${name}` : name;
}

/** Without what a server writes. */
function bare({ metadata, status: _, ...rest }: ModelObject['object']): unknown {
  const { name, namespace, labels = {}, annotations = {} } = metadata;
  const { 'kubectl.kubernetes.io/last-applied-configuration': __, ...kept } = annotations;
  return { ...rest, metadata: { name, namespace, labels, annotations: kept } };
}

import type { ConfigObject } from '../../object.ts';
import type { Target } from '../context.ts';
import { columnsOf } from './columns.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface ListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
}

/** `Table` of meta.k8s.io: what `kubectl get` prints. */
export function toTable(
  target: Target,
  objects: readonly ConfigObject[],
  metadata: ListMeta,
  include: IncludeObject,
  options: { now: number; definitions: boolean; metaVersion: string },
): unknown {
  const columns = columnsOf(target);
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.metaVersion}`,
    metadata,
    columnDefinitions: options.definitions
      ? columns.map(({ name, type, format, description, priority }) => ({
          name,
          type,
          format,
          description,
          priority,
        }))
      : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, options.now) ?? null),
      ...(include === 'None'
        ? {}
        : { object: include === 'Object' ? object : toPartial(object, options.metaVersion) }),
    })),
  };
}

export function toPartial(object: ConfigObject, metaVersion: string): unknown {
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: `meta.k8s.io/${metaVersion}`,
    metadata: object.metadata,
  };
}

import type { KindRegistry } from '../config/kind.ts';
import { objectKey } from '../config/object.ts';
import { parseOriginId } from '../config/origin.ts';
import type { Position } from '../config/source-map.ts';
import type { ConfigMerge } from './config-merge.ts';

/** Most origins of one question. */
const mostAsked = 100;

/** Where what origins name stands in the files that the control plane reads itself; what stands in none is left out. */
export function positionsOf(
  kinds: KindRegistry,
  merge: Pick<ConfigMerge, 'positions'>,
  ids: readonly string[],
): Record<string, Position> {
  const found: Record<string, Position> = {};
  for (const id of ids.slice(0, mostAsked)) {
    const origin = parseOriginId(id);
    if (!origin) continue;
    const named = kinds
      .all()
      .filter(({ kind, group }) => kind === origin.kind || `${kind}.${group}` === origin.kind);
    for (const { group, kind } of named) {
      const position = merge.positions(group, kind, objectKey({ metadata: origin }))?.at(origin.path);
      if (position) found[id] ??= position;
    }
  }
  return found;
}

import { join } from 'node:path';
import type { ControlPlaneOptions } from '../options.ts';
import type { Deletions } from './deletions.ts';
import { History } from './history.ts';
import type { ObservedChange } from './observed-change.ts';

/** The history in the state directory. Undefined: there is no place for it, or it is not wanted. */
export function keepHistory(
  { state, history: limits }: Pick<ControlPlaneOptions, 'state' | 'history'>,
  present: () => Iterable<ObservedChange>,
  deletions: Deletions,
  log: { warn(message: string): void },
): History | undefined {
  if (state === undefined || limits?.bytes === 0) return undefined;
  return new History({
    directory: join(state, 'history'),
    ...(limits ? { limits } : {}),
    present,
    deletedBy: (id) => deletions.take(id),
    warn: (message) => log.warn(message),
  });
}

import { err, out } from '../output/style.ts';
import type { Restored } from './restore-objects.ts';

/** One line per object. Returns whether every one is as it was. */
export function tellRestored(restored: readonly Restored[]): boolean {
  for (const { name, outcome, why } of restored)
    if (outcome === 'left') process.stderr.write(`${err.red('left as it is')}: ${name}: ${why}\n`);
    else process.stdout.write(`${name} ${outcome === 'unchanged' ? out.dim(outcome) : outcome}\n`);
  return restored.every(({ outcome }) => outcome !== 'left');
}

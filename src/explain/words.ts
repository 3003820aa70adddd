import { type Origin, originId } from '../config/origin.ts';
import { features } from '../features/index.ts';
import type { Model } from '../model/model.ts';
import type { DecidedBy } from './explanation.ts';

/** Words for the field that an origin names, from the feature that it belongs to. */
export function wordsOf(origin: Origin): string | undefined {
  for (const { explain } of features) {
    const words = explain?.(origin);
    if (words !== undefined) return words;
  }
  return undefined;
}

/** An origin as people read it: with its place and its meaning. */
export function decidedBy(model: Model, origin: Origin): DecidedBy {
  const position = model.positionOf(origin);
  const words = wordsOf(origin);
  return { ...origin, ...(position ? { position } : {}), ...(words === undefined ? {} : { words }) };
}

export function sameOrigin(a: Origin | undefined, b: Origin | undefined): boolean {
  return a !== undefined && b !== undefined && originId(a) === originId(b);
}

/** `a, b or c`. */
export function listed(items: readonly string[], joint = 'or'): string {
  if (items.length < 2) return items[0] ?? '';
  return `${items.slice(0, -1).join(', ')} ${joint} ${items.at(-1)}`;
}

/** Milliseconds in the unit that reads best. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${ms}ms`;
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${Number((ms / 1_000).toFixed(3))}s`;
}

/** Percent, to a hundredth. */
export function round(percent: number): number {
  return Number(percent.toFixed(2));
}

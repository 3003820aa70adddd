import type { Origin } from '../../../config/origin.ts';
import { explainBy } from '../../../plan/explain.ts';

const tables = [
  explainBy('Service', [[/^$/, 'the Service itself: its ports, endpoints and defaults']]),
  explainBy('ServiceEntry', [
    [/^spec\.hosts\[(\d+)\]$/, 'host $1 of the entry: its ports, endpoints and defaults'],
    [/^$/, 'the ServiceEntry itself: its ports, endpoints and defaults'],
  ]),
];

export function explain(origin: Origin): string | undefined {
  for (const table of tables) {
    const words = table(origin);
    if (words !== undefined) return words;
  }
  return undefined;
}

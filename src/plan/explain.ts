import type { Origin } from '../config/origin.ts';

/** Words for a field of a kind: the first pattern that the origin's path matches; groups fill `$1`, `$2`. */
export type ExplainTable = readonly (readonly [pattern: RegExp, words: string])[];

/** An `explain` for one kind from a table. */
export function explainBy(kind: string, table: ExplainTable): (origin: Origin) => string | undefined {
  return (origin) => {
    if (origin.kind !== kind) return undefined;
    for (const [pattern, words] of table) {
      const match = pattern.exec(origin.path);
      if (match) return words.replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '');
    }
    return undefined;
  };
}

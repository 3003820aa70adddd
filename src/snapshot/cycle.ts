/** A query reached itself. Every query on the cycle fails with this error, wherever it was entered and whatever it catches. */
export class CycleError extends Error {
  readonly code = 'QUERY_CYCLE';
  /** The calls on the cycle, as `name(arguments)`. */
  readonly participants: ReadonlySet<string>;

  constructor(chain: readonly string[]) {
    const turned = rotate(chain);
    super(
      `queries call each other in a circle: ${[...turned, turned[0]].join(' → ')}. ` +
        'Break it by splitting the part that both need into a query of its own.',
    );
    this.name = 'CycleError';
    this.participants = new Set(chain);
  }
}

/** The text does not depend on where the cycle was entered: it starts at the smallest call. */
function rotate(chain: readonly string[]): readonly string[] {
  let first = 0;
  chain.forEach((call, i) => {
    if (call < (chain[first] ?? call)) first = i;
  });
  return [...chain.slice(first), ...chain.slice(0, first)];
}

/** How messages name a call: `cluster(default/reviews, 9080)`. */
export function callText(query: string, args: readonly string[]): string {
  return `${query}(${args.join(', ')})`;
}

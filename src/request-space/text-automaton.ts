/**
 * A set of texts as a deterministic automaton over code points, made as it is walked. Several of them walked side by side tell which
 * combinations of conditions some text can meet at all, and give a shortest such text.
 */
export interface TextAutomaton {
  readonly start: number;
  step(state: number, code: number): number;
  accepts(state: number): boolean;
  /** No text that goes on from here is in the set. */
  isDead(state: number): boolean;
  /** Every text that goes on from here is in the set. */
  isFull(state: number): boolean;
  /** Code points at which the behaviour may change: between two neighbours all code points are alike. */
  readonly borders: readonly number[];
}

const dead = -1;
const full = -2;

function codePoints(text: string): number[] {
  return Array.from(text, (char) => char.codePointAt(0) as number);
}

function bordersOf(codes: Iterable<number>): number[] {
  return [...new Set([...codes].flatMap((code) => [code, code + 1]))];
}

/** `fold`: letters of the other case are taken too (ASCII, as Envoy compares). */
function literalStep(codes: readonly number[], fold: boolean): (at: number, code: number) => boolean {
  return (at, code) => codes[at] === (fold ? lower(code) : code);
}

function lower(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code;
}

interface LiteralOptions {
  readonly ignoreCase?: boolean;
}

function literal(text: string, { ignoreCase = false }: LiteralOptions) {
  const codes = codePoints(text).map((code) => (ignoreCase ? lower(code) : code));
  const written = ignoreCase ? codes.flatMap((code) => [code, ...upper(code)]) : codes;
  return { codes, matches: literalStep(codes, ignoreCase), borders: bordersOf(written) };
}

function upper(code: number): number[] {
  return code >= 97 && code <= 122 ? [code - 32] : [];
}

export function exactText(text: string, options: LiteralOptions = {}): TextAutomaton {
  const { codes, matches, borders } = literal(text, options);
  return {
    start: 0,
    step: (state, code) => (state !== dead && matches(state, code) ? state + 1 : dead),
    accepts: (state) => state === codes.length,
    isDead: (state) => state === dead,
    isFull: () => false,
    borders,
  };
}

export function prefixText(text: string, options: LiteralOptions = {}): TextAutomaton {
  return followedBy(text, anyText, options);
}

/** The literal, then what the other takes. */
export function followedBy(text: string, rest: TextAutomaton, options: LiteralOptions = {}): TextAutomaton {
  const { codes, matches, borders } = literal(text, options);
  const { length } = codes;
  const inner = (state: number): number => state - length;
  const outer = (state: number): number => (rest.isDead(state) ? dead : state + length);
  return {
    start: length === 0 ? outer(rest.start) : 0,
    step(state, code) {
      if (state === dead) return dead;
      if (state >= length) return outer(rest.step(inner(state), code));
      if (!matches(state, code)) return dead;
      return state + 1 === length ? outer(rest.start) : state + 1;
    },
    accepts: (state) => state >= length && rest.accepts(inner(state)),
    isDead: (state) => state === dead,
    isFull: (state) => state >= length && rest.isFull(inner(state)),
    borders: [...new Set([...borders, ...rest.borders])],
  };
}

/** Every text. */
export const anyText: TextAutomaton = {
  start: 0,
  step: () => 0,
  accepts: () => true,
  isDead: () => false,
  isFull: () => true,
  borders: [],
};

/** Texts that hold the literal somewhere, or at their end. */
export function containsText(
  text: string,
  { atEnd = false, ...options }: LiteralOptions & { readonly atEnd?: boolean } = {},
): TextAutomaton {
  const { codes, matches, borders } = literal(text, options);
  const { length } = codes;
  const back = failures(codes);
  const step = (from: number, code: number): number => {
    let state = from;
    if (state === full) return full;
    if (state === length) state = back[state] ?? 0;
    while (state > 0 && !matches(state, code)) state = back[state] ?? 0;
    const next = length > 0 && matches(state, code) ? state + 1 : 0;
    return next === length && !atEnd ? full : next;
  };
  return {
    start: length === 0 && !atEnd ? full : 0,
    step,
    accepts: (state) => state === full || state === length,
    isDead: () => false,
    isFull: (state) => state === full || length === 0,
    borders,
  };
}

/** Knuth, Morris and Pratt: by matched length, the longest proper prefix that is a suffix of it too. */
function failures(codes: readonly number[]): number[] {
  const back = [0, 0];
  let k = 0;
  for (let i = 1; i < codes.length; i++) {
    while (k > 0 && codes[i] !== codes[k]) k = back[k] ?? 0;
    if (codes[i] === codes[k]) k++;
    back[i + 1] = k;
  }
  return back;
}

/** Texts that the other takes once the literal, which is not empty, is replaced wherever it stands, from the left on. */
export function onceReplaced(text: string, replacement: string, rest: TextAutomaton): TextAutomaton {
  const codes = codePoints(text);
  const by = codePoints(replacement);
  const run = (state: number, list: readonly number[]): number =>
    list.reduce((at, code) => rest.step(at, code), state);
  const isBegun = (list: readonly number[]): boolean => list.every((code, i) => code === codes[i]);
  // How much of the literal has been read, and where the other stands before it.
  const { idOf, pair } = pairs();
  const outer = (state: number): number => pair(state)[1];
  return {
    start: idOf(0, rest.start),
    step(state, code) {
      let [, at] = pair(state);
      const held = [...codes.slice(0, pair(state)[0]), code];
      if (held.length === codes.length && isBegun(held)) return idOf(0, run(at, by));
      while (!isBegun(held)) at = rest.step(at, held.shift() as number);
      return idOf(held.length, at);
    },
    accepts: (state) => rest.accepts(run(outer(state), codes.slice(0, pair(state)[0]))),
    isDead: (state) => rest.isDead(outer(state)),
    isFull: (state) => rest.isFull(outer(state)),
    borders: [...new Set([...bordersOf(codes), ...rest.borders])],
  };
}

/** Pairs of states as states. */
function pairs() {
  const ids = new Map<string, number>();
  const all: (readonly [number, number])[] = [];
  return {
    idOf(left: number, right: number): number {
      const key = `${left} ${right}`;
      let id = ids.get(key);
      if (id === undefined) {
        id = all.push([left, right]) - 1;
        ids.set(key, id);
      }
      return id;
    },
    pair: (state: number): readonly [number, number] => all[state] as readonly [number, number],
  };
}

/** Texts that are in one set or the other. */
export function either(a: TextAutomaton, b: TextAutomaton): TextAutomaton {
  const { idOf, pair } = pairs();
  return {
    start: idOf(a.start, b.start),
    step(state, code) {
      const [left, right] = pair(state);
      return idOf(a.step(left, code), b.step(right, code));
    },
    accepts: (state) => a.accepts(pair(state)[0]) || b.accepts(pair(state)[1]),
    isDead: (state) => a.isDead(pair(state)[0]) && b.isDead(pair(state)[1]),
    isFull: (state) => a.isFull(pair(state)[0]) || b.isFull(pair(state)[1]),
    borders: [...new Set([...a.borders, ...b.borders])],
  };
}

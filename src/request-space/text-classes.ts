import type { TextAutomaton } from './text-automaton.ts';

/** Which characters texts of a kind can have, best ones for people first. */
export interface Alphabet {
  /** Ranges of code points, both ends included. */
  readonly ranges: readonly (readonly [number, number])[];
  /** What every text starts with. Default nothing. */
  readonly begins?: string;
  /** Default true: the empty text (after `begins`) is one. */
  readonly mayBeEmpty?: boolean;
}

export interface TextClasses {
  /** One text for each combination of conditions that some text meets. */
  readonly texts: readonly string[];
  /** The search ended before every text was seen. */
  readonly cut: boolean;
}

export interface TextClassLimits {
  /** States of the search. Default 20,000. */
  readonly maxStates?: number;
}

interface Node {
  readonly states: readonly number[];
  readonly text: string;
}

/**
 * Walks the automata side by side, breadth first, and keeps the first (shortest) text of each combination of answers. Exact: two texts
 * with equal answers to every condition are alike to whoever only asks these. `samples` are texts that read well; they go first.
 */
export function textClasses(
  automata: readonly TextAutomaton[],
  alphabet: Alphabet,
  samples: readonly string[] = [],
  { maxStates = 20_000 }: TextClassLimits = {},
): TextClasses {
  const found = new Map<string, string>();
  for (const text of samples) {
    if (!isOf(text, alphabet)) continue;
    const key = answers(automata, endStates(automata, text));
    if (!found.has(key)) found.set(key, text);
  }
  const letters = representatives(automata, alphabet);
  const begins = alphabet.begins ?? '';
  const first: Node = { states: endStates(automata, begins), text: begins };
  const seen = new Set([first.states.join(' ')]);
  const queue = [first];
  let cut = false;
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at] as Node;
    if (at > 0 || alphabet.mayBeEmpty !== false || begins !== '') keep(found, automata, node);
    // Nothing that follows can change an answer.
    if (automata.every((one, i) => isSettled(one, node.states[i] as number)) && at > 0) continue;
    for (const letter of letters) {
      const states = automata.map((one, i) => settledStep(one, node.states[i] as number, letter));
      const key = states.join(' ');
      if (seen.has(key)) continue;
      if (seen.size >= maxStates) {
        cut = true;
        break;
      }
      seen.add(key);
      queue.push({ states, text: node.text + String.fromCodePoint(letter) });
    }
  }
  return { texts: [...found.values()], cut };
}

function keep(found: Map<string, string>, automata: readonly TextAutomaton[], { states, text }: Node): void {
  const key = answers(automata, states);
  if (!found.has(key)) found.set(key, text);
}

function isSettled(automaton: TextAutomaton, state: number): boolean {
  return automaton.isDead(state) || automaton.isFull(state);
}

/** A settled automaton stays where it is: fewer different combinations. */
function settledStep(automaton: TextAutomaton, state: number, letter: number): number {
  return isSettled(automaton, state) ? state : automaton.step(state, letter);
}

function endStates(automata: readonly TextAutomaton[], text: string): number[] {
  return automata.map((automaton) => {
    let state = automaton.start;
    for (const char of text) state = settledStep(automaton, state, char.codePointAt(0) as number);
    return state;
  });
}

function answers(automata: readonly TextAutomaton[], states: readonly number[]): string {
  return automata.map((one, i) => (one.accepts(states[i] as number) ? '1' : '0')).join('');
}

function isOf(text: string, { ranges, begins = '', mayBeEmpty }: Alphabet): boolean {
  if (!text.startsWith(begins) || (text === '' && mayBeEmpty === false)) return false;
  return Array.from(text).every((char) => {
    const code = char.codePointAt(0) as number;
    return ranges.some(([from, to]) => code >= from && code <= to);
  });
}

/** One code point for each stretch between borders: a letter or digit where it has one. */
function representatives(automata: readonly TextAutomaton[], { ranges }: Alphabet): number[] {
  const borders = new Set<number>();
  for (const { borders: own } of automata) for (const border of own) borders.add(border);
  const sorted = [...borders].sort((a, b) => a - b);
  const best = new Map<number, number>();
  const consider = (code: number): void => {
    if (!ranges.some(([from, to]) => code >= from && code <= to)) return;
    const stretch = countUpTo(sorted, code);
    if (!best.has(stretch)) best.set(stretch, code);
  };
  for (const [from, to] of readable) for (let code = from; code <= to; code++) consider(code);
  for (const [from, to] of ranges) {
    consider(from);
    for (const border of sorted) if (border > from && border <= to) consider(border);
  }
  return [...best.values()];
}

/** How many borders are at or below a code point. */
function countUpTo(sorted: readonly number[], code: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= code) low = middle + 1;
    else high = middle;
  }
  return low;
}

const readable = [
  [120, 122],
  [97, 119],
  [48, 57],
  [45, 45],
] as const;

/** Printable ASCII. */
const printable = [33, 126] as const;

/** Paths without query and fragment. */
export const pathAlphabet: Alphabet = {
  begins: '/',
  // Neither `?` (63), `#` (35), `\` (92, which normalisation turns) nor `%` (37, which it may decode).
  ranges: [
    [33, 34],
    [36, 36],
    [38, 62],
    [64, 91],
    [93, 126],
  ],
};

/** Values of headers and query parameters; blanks only within. */
export const valueAlphabet: Alphabet = { ranges: [printable] };

/** Methods. */
export const methodAlphabet: Alphabet = {
  mayBeEmpty: false,
  ranges: [
    [65, 90],
    [45, 45],
  ],
};

/** Authorities: names in lower case, with or without a port. */
export const authorityAlphabet: Alphabet = {
  mayBeEmpty: false,
  ranges: [
    [97, 122],
    [48, 57],
    [45, 46],
    [58, 58],
    [95, 95],
  ],
};

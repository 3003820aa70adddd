import { RE2JS } from 're2js';
import type { TextAutomaton } from './text-automaton.ts';

/** Instructions of a compiled expression, as re2js (like RE2 itself) numbers them. */
const op = {
  alternative: 1,
  alternativeMatch: 2,
  capture: 3,
  emptyWidth: 4,
  fail: 5,
  match: 6,
  nothing: 7,
  rune: 8,
  rune1: 9,
  anyRune: 10,
  anyRuneButNewline: 11,
} as const;

const emptyWidth = { beginLine: 1, endLine: 2, beginText: 4, endText: 8, boundary: 16, noBoundary: 32 };
const foldCase = 1;
const newline = 10;
const end = -1;

interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  readonly runes: Int32Array;
  matchRune(code: number): boolean;
}

interface Program {
  readonly inst: readonly Instruction[];
  readonly start: number;
}

/** A state: where the program may be, and what the last code point was as far as assertions ask. */
interface State {
  readonly threads: readonly number[];
  readonly last: 'start' | 'word' | 'other' | 'newline';
}

/** Expressions of more states than this are walked no further: what lies behind counts as not taken, and `overflowed` says so. */
const maxStates = 5000;

export interface RegexAutomaton extends TextAutomaton {
  readonly overflowed: boolean;
}

/** The texts that an RE2 expression matches as a whole. */
export function regexText(regex: string): RegexAutomaton {
  const program = (RE2JS.compile(regex) as unknown as { re2Input: { prog: Program } }).re2Input.prog;
  return new Walked(program);
}

class Walked implements RegexAutomaton {
  readonly start: number;
  readonly borders: readonly number[];
  overflowed = false;
  readonly #program: Program;
  readonly #ids = new Map<string, number>();
  readonly #states: State[] = [];
  readonly #accepting: (boolean | undefined)[] = [];
  readonly #next = new Map<number, number>();

  constructor(program: Program) {
    this.#program = program;
    this.borders = bordersOf(program);
    this.start = this.#idOf({ threads: [program.start], last: 'start' });
  }

  step(state: number, code: number): number {
    const key = state * 0x110000 + code;
    let next = this.#next.get(key);
    if (next === undefined) {
      next = this.#compute(this.#states[state] as State, code);
      this.#next.set(key, next);
    }
    return next;
  }

  accepts(state: number): boolean {
    let accepting = this.#accepting[state];
    if (accepting === undefined) {
      accepting = this.#closure(this.#states[state] as State, end).some(
        (pc) => this.#program.inst[pc]?.op === op.match,
      );
      this.#accepting[state] = accepting;
    }
    return accepting;
  }

  isDead(state: number): boolean {
    return this.#states[state]?.threads.length === 0;
  }

  isFull(): boolean {
    return false;
  }

  #compute(state: State, code: number): number {
    const threads = new Set<number>();
    for (const pc of this.#closure(state, code)) {
      const instruction = this.#program.inst[pc] as Instruction;
      if (takes(instruction, code)) threads.add(instruction.out);
    }
    const last = code === newline ? 'newline' : isWord(code) ? 'word' : 'other';
    if (this.#states.length >= maxStates) {
      this.overflowed = true;
      return this.#idOf({ threads: [], last: 'other' });
    }
    return this.#idOf({ threads: [...threads].sort((a, b) => a - b), last });
  }

  /** Instructions that can be reached without reading, given what comes next. */
  #closure({ threads, last }: State, next: number): number[] {
    const holds = assertionsAt(last, next);
    const seen = new Set<number>();
    const todo = [...threads];
    for (let pc = todo.pop(); pc !== undefined; pc = todo.pop()) {
      if (seen.has(pc)) continue;
      seen.add(pc);
      const { op: what, out, arg } = this.#program.inst[pc] as Instruction;
      if (what === op.alternative || what === op.alternativeMatch) todo.push(out, arg);
      else if (what === op.capture || what === op.nothing) todo.push(out);
      else if (what === op.emptyWidth && (arg & ~holds) === 0) todo.push(out);
    }
    return [...seen];
  }

  #idOf(state: State): number {
    const key = state.threads.length === 0 ? '' : `${state.last} ${state.threads.join(' ')}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#states.push(state) - 1;
      this.#ids.set(key, id);
    }
    return id;
  }
}

function takes(instruction: Instruction, code: number): boolean {
  switch (instruction.op) {
    case op.rune:
    case op.rune1:
      return instruction.matchRune(code);
    case op.anyRune:
      return true;
    case op.anyRuneButNewline:
      return code !== newline;
    default:
      return false;
  }
}

function isWord(code: number): boolean {
  return (
    (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95
  );
}

/** Which assertions of no width hold between the last code point and the next one. */
function assertionsAt(last: State['last'], next: number): number {
  const wordAfter = next !== end && isWord(next);
  return (
    (last === 'start' ? emptyWidth.beginText | emptyWidth.beginLine : 0) |
    (last === 'newline' ? emptyWidth.beginLine : 0) |
    (next === end ? emptyWidth.endText | emptyWidth.endLine : 0) |
    (next === newline ? emptyWidth.endLine : 0) |
    ((last === 'word') !== wordAfter ? emptyWidth.boundary : emptyWidth.noBoundary)
  );
}

function bordersOf({ inst }: Program): number[] {
  const borders = new Set<number>();
  const add = (from: number, to: number): void => {
    borders.add(from);
    borders.add(to + 1);
  };
  for (const { op: what, runes, arg } of inst) {
    if (what === op.anyRuneButNewline) add(newline, newline);
    if (what === op.emptyWidth) for (const [from, to] of wordRanges) add(from, to);
    if (what !== op.rune && what !== op.rune1) continue;
    const [only] = runes;
    if (runes.length === 1 && only !== undefined) for (const code of variants(only, arg)) add(code, code);
    else for (let i = 0; i + 1 < runes.length; i += 2) add(runes[i] as number, runes[i + 1] as number);
  }
  return [...borders];
}

const wordRanges = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
  [newline, newline],
] as const;

function variants(code: number, flags: number): number[] {
  if ((flags & foldCase) === 0) return [code];
  const char = String.fromCodePoint(code);
  return [char, char.toLowerCase(), char.toUpperCase()].map((text) => text.codePointAt(0) as number);
}

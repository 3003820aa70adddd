import type { Node } from 'yaml';
import { Composer, isMap, isScalar, isSeq, LineCounter, Parser } from 'yaml';
import type { ObjectPositions, Position } from './source-map.ts';

/** How every reader here composes YAML: scalars stay text, and yaml-value.ts gives them their meaning. */
export const composeOptions = {
  schema: 'failsafe',
  version: '1.2',
  resolveKnownTags: false,
  // Own check in yaml-value.ts: the library's is quadratic in the size of a map.
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
  merge: false,
} as const;

/** A piece of a file between document markers. `line` is the file's line (from 0) on which `text` begins; it moves with edits above. */
export interface TextChunk {
  file: string;
  text: string;
  line: number;
}

/** Where an object stands in its chunk: offsets of its text, and line and column (from 0) of its first character. */
export interface ChunkSlice {
  start: number;
  end: number;
  line: number;
  column: number;
}

/**
 * Positions of one object's fields. Keeps no tree: a lookup parses the object's own text again, which costs a
 * fraction of a millisecond and is only done for messages.
 */
export class YamlPositions implements ObjectPositions {
  #chunk: TextChunk;
  #slice: ChunkSlice;

  constructor(chunk: TextChunk, slice: ChunkSlice) {
    this.#chunk = chunk;
    this.#slice = slice;
  }

  get file(): string {
    return this.#chunk.file;
  }

  /** Takes over another object's place: the object moved without changing, and whoever holds this follows it. */
  moveTo(other: YamlPositions): void {
    this.#chunk = other.#chunk;
    this.#slice = other.#slice;
  }

  /** The place of the longest known prefix of `path`: a field's key, a list item's first character. '' is the object itself. */
  at(path: string): Position {
    const { start, end, line, column } = this.#slice;
    if (path === '') return this.#position(line, column);
    // The first line of a nested object is indented like the others, or its text would not parse alone.
    const text = ' '.repeat(column) + this.#chunk.text.slice(start, end);
    const offset = findOffset(text, path);
    if (offset === undefined) return this.#position(line, column);
    const found = positionInText(text, offset);
    return this.#position(line + found.line, found.column);
  }

  #position(line: number, column: number): Position {
    return { file: this.#chunk.file, line: this.#chunk.line + line + 1, column: column + 1 };
  }
}

/** Line and column, both from 0, of an offset. */
export function positionInText(text: string, offset: number): { line: number; column: number } {
  let line = 0;
  let lineStart = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', lineStart)) {
    line++;
    lineStart = at + 1;
  }
  return { line, column: offset - lineStart };
}

function findOffset(text: string, path: string): number | undefined {
  const counter = new LineCounter();
  const composer = new Composer(composeOptions);
  for (const document of composer.compose(new Parser(counter.addNewLine).parse(text))) {
    return descend(document.contents as Node | null, path, undefined);
  }
  return undefined;
}

function descend(node: unknown, path: string, found: number | undefined): number | undefined {
  const rest = path.startsWith('.') ? path.slice(1) : path;
  if (rest === '') return found;
  if (isSeq(node)) {
    const index = /^\[(\d+)\]/.exec(rest);
    const item = index ? (node.items[Number(index[1])] as Node | undefined) : undefined;
    if (!index || item === undefined) return found;
    return descend(item, rest.slice(index[0].length), item?.range?.[0] ?? found);
  }
  if (!isMap(node)) return found;
  const match = matchKey(
    node.items.map((pair) => (isScalar(pair.key) ? String(pair.key.value) : '')),
    rest,
  );
  const pair = match && node.items[match.index];
  if (!match || !pair) return found;
  return descend(pair.value, match.rest, (pair.key as Node).range?.[0] ?? found);
}

/**
 * The key that the path goes on with. Paths are written by many hands, so `labels.a.b/c`, `labels[a.b/c]` and
 * `labels["a.b/c"]` all find the key `a.b/c`: the longest key wins.
 */
function matchKey(keys: readonly string[], path: string): { index: number; rest: string } | undefined {
  const bracket = /^\[(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\]]*))\]/.exec(path);
  if (bracket) {
    const index = keys.indexOf(bracket[1] ?? bracket[2] ?? bracket[3] ?? '');
    return index === -1 ? undefined : { index, rest: path.slice(bracket[0].length) };
  }
  let best: { index: number; rest: string } | undefined;
  for (const [index, key] of keys.entries()) {
    if (!path.startsWith(key) || (best && path.length - key.length >= best.rest.length)) continue;
    const rest = path.slice(key.length);
    if (rest === '' || rest.startsWith('.') || rest.startsWith('[')) best = { index, rest };
  }
  return best;
}

/** A step from an object's root to a place in it: a field's name, or the place in a list. */
export type Step = string | number;

/** Where a cursor stands in a YAML text. */
export interface Cursor {
  /** Steps to the map or list that the cursor is in (of a value: to its field). */
  readonly path: readonly Step[];
  /** `key`: a field's name is being written, or is under the cursor; `value`: what stands behind `name:`, or an item of a list. */
  readonly at: 'key' | 'value';
  /** `key`: its colon is written. Without one it may be the beginning of a name, or an item of a list of texts. */
  readonly isNamed: boolean;
  /** The word under the cursor, as far as it is written before it. */
  readonly typed: string;
  /** The whole word under the cursor: the name of the field, or the value. */
  readonly word: string;
  /** Columns of `word`, from 0; `to` is behind its last character. */
  readonly from: number;
  readonly to: number;
  /** Fields that the map has already, other than the one under the cursor. */
  readonly siblings: ReadonlySet<string>;
  /** Lines of the document that the cursor is in, from 0; `end` is behind the last. */
  readonly document: { readonly start: number; readonly end: number };
}

interface Entry {
  readonly kind: 'dash' | 'key';
  readonly column: number;
  readonly line: number;
  /** Keys only. */
  readonly name: string;
}

const keyPattern =
  /^("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'{}[\],&*!|>%@`-][^#{}[\],]*?|-[^\s][^#{}[\],]*?)\s*:(?=\s|$)/;

/** Most lines looked at on the way up. */
const mostLines = 20_000;

/**
 * Finds a cursor's place by indentation alone: while somebody types, a text is no YAML for most of the time. Block style only: inside
 * `{}` and `[]` nothing is found (undefined), nor in comments.
 */
export function cursorAt(lines: readonly string[], line: number, character: number): Cursor | undefined {
  const text = lines[line] ?? '';
  const document = documentAround(lines, line);
  if (line < document.start || isInComment(text, character)) return undefined;
  const entries = entriesOf(text, line);
  const lastDash = entries.findLast(({ kind }) => kind === 'dash');
  const key = entries.find(({ kind }) => kind === 'key');
  const behind = key ? valueStart(text, key) : undefined;
  if (key && behind !== undefined && character >= behind) {
    const value = valueAt(text, behind, character);
    if (value === undefined) return undefined;
    const { path, siblings } = climb(lines, { ...key }, document);
    return { path: [...path, key.name], at: 'value', isNamed: true, ...value, siblings, document };
  }
  if (key && character >= key.column) {
    const { path, siblings } = climb(lines, key, document);
    const to = key.column + key.name.length;
    return {
      path,
      at: 'key',
      isNamed: true,
      typed: text.slice(key.column, Math.min(character, to)),
      word: key.name,
      from: key.column,
      to,
      siblings: without(siblings, key.name),
      document,
    };
  }
  return halfWritten(lines, line, character, lastDash, document);
}

/** A line that has no colon yet: the beginning of a field's name, or an item of a list. */
function halfWritten(
  lines: readonly string[],
  line: number,
  character: number,
  lastDash: Entry | undefined,
  document: Cursor['document'],
): Cursor | undefined {
  const text = lines[line] ?? '';
  const first = lastDash ? lastDash.column + 1 : 0;
  const blank = /^\s*/.exec(text.slice(first))?.[0].length ?? 0;
  const column = Math.min(first + blank, Math.max(character, first));
  const word = text.slice(column).trimEnd();
  if (/[{}[\]]/.test(word)) return undefined;
  const entry: Entry = {
    kind: 'key',
    column: Math.max(column, lastDash ? lastDash.column + 2 : 0),
    line,
    name: '',
  };
  const { path, siblings } = climb(lines, entry, document, lastDash);
  const typed = text.slice(column, Math.max(column, character));
  return {
    path,
    at: 'key',
    isNamed: false,
    typed,
    word,
    from: column,
    to: column + word.length,
    siblings,
    document,
  };
}

/** The steps to the map or list that an entry is in. */
function climb(
  lines: readonly string[],
  from: Entry,
  document: Cursor['document'],
  dashBefore?: Entry,
): { path: Step[]; siblings: Set<string> } {
  const siblings = new Set<string>();
  const path: Step[] = [];
  let current = from;
  let count = 0;
  const first = Math.max(document.start, from.line - mostLines);
  for (let line = from.line; line >= first; line--) {
    for (const entry of entriesOf(lines[line] ?? '', line).toReversed()) {
      if (line === from.line && entry.column >= from.column && entry !== dashBefore) continue;
      if (current.kind === 'dash' && entry.kind === 'dash' && entry.column === current.column) count++;
      else if (current === from && entry.kind === 'key' && entry.column === current.column)
        siblings.add(entry.name);
      if (!isParent(entry, current)) continue;
      if (current.kind === 'dash') path.unshift(count);
      count = 0;
      if (entry.kind === 'key') path.unshift(entry.name);
      current = entry;
    }
  }
  if (current.kind === 'dash') path.unshift(count);
  for (const name of keysBelow(lines, from, document)) siblings.add(name);
  return { path, siblings };
}

/** A list may stand as far left as its field. */
function isParent(entry: Entry, child: Entry): boolean {
  if (entry.kind === 'key' && child.kind === 'dash') return entry.column <= child.column;
  return entry.column < child.column;
}

function* keysBelow(lines: readonly string[], from: Entry, document: Cursor['document']): Generator<string> {
  const last = Math.min(document.end, from.line + mostLines);
  for (let line = from.line + 1; line < last; line++) {
    const [first] = entriesOf(lines[line] ?? '', line);
    if (!first) continue;
    if (first.column < from.column) return;
    if (first.kind === 'dash' && first.column === from.column) continue;
    if (first.kind === 'key' && first.column === from.column) yield first.name;
  }
}

/** The dashes and the key of a line. */
function entriesOf(text: string, line: number): Entry[] {
  const entries: Entry[] = [];
  let column = /^ */.exec(text)?.[0].length ?? 0;
  for (;;) {
    const dash = /^-(\s+|$)/.exec(text.slice(column));
    if (!dash) break;
    entries.push({ kind: 'dash', column, line, name: '' });
    column += dash[0].length;
  }
  const key = keyPattern.exec(text.slice(column));
  if (key?.[1]) entries.push({ kind: 'key', column, line, name: unquoted(key[1]) });
  return entries;
}

function unquoted(text: string): string {
  return /^(["']).*\1$/.test(text) ? text.slice(1, -1) : text;
}

/** The column behind a key's colon. */
function valueStart(text: string, key: Entry): number {
  const match = keyPattern.exec(text.slice(key.column));
  return key.column + (match?.[0].length ?? 0);
}

function valueAt(
  text: string,
  start: number,
  character: number,
): Pick<Cursor, 'typed' | 'word' | 'from' | 'to'> | undefined {
  const blank = /^\s*/.exec(text.slice(start))?.[0].length ?? 0;
  const from = Math.min(start + blank, Math.max(character, start));
  const word = text
    .slice(from)
    .replace(/\s+#.*$/, '')
    .trimEnd();
  if (/^[{[|>&*]/.test(word)) return undefined;
  return { typed: text.slice(from, Math.max(from, character)), word, from, to: from + word.length };
}

function isInComment(text: string, character: number): boolean {
  const match = /(^|\s)#/.exec(text);
  return match !== null && character > match.index;
}

function documentAround(lines: readonly string[], line: number): { start: number; end: number } {
  const isMarker = (text: string | undefined) => /^---(\s|$)/.test(text ?? '');
  let start = line;
  while (start > 0 && !isMarker(lines[start - 1])) start--;
  if (isMarker(lines[line])) return { start: line + 1, end: line + 1 };
  let end = line + 1;
  while (end < lines.length && !isMarker(lines[end])) end++;
  return { start, end };
}

function without(names: Set<string>, name: string): Set<string> {
  names.delete(name);
  return names;
}

/** The text of a field at the root of a document, such as `kind`; '' where there is none. */
export function rootField(lines: readonly string[], document: Cursor['document'], name: string): string {
  const last = Math.min(document.end, document.start + mostLines);
  for (let line = document.start; line < last; line++) {
    const match = new RegExp(`^${name}:\\s*["']?([^\\s"'#]+)`).exec(lines[line] ?? '');
    if (match) return match[1] ?? '';
  }
  return '';
}

/** The text of a sibling of a field: of `subset`, say, the `host` beside it; '' where there is none. */
export function siblingValue(lines: readonly string[], line: number, cursor: Cursor, name: string): string {
  const column = entriesOf(lines[line] ?? '', line).find(({ kind }) => kind === 'key')?.column;
  if (column === undefined) return '';
  for (const direction of [-1, 1])
    for (let at = line; at >= cursor.document.start && at < cursor.document.end; at += direction) {
      const text = lines[at] ?? '';
      const entries = entriesOf(text, at);
      const key = entries.find((entry) => entry.kind === 'key' && entry.column === column);
      if (key?.name === name) return valueText(text, valueStart(text, key));
      const [first] = entries;
      if (at !== line && first && first.column < column && !key) break;
      // A dash before the key: the item begins here, or the next one does.
      if (first?.kind === 'dash' && (direction < 0 || at !== line)) break;
    }
  return '';
}

function valueText(text: string, start: number): string {
  return unquoted(
    text
      .slice(start)
      .replace(/\s+#.*$/, '')
      .trim(),
  );
}

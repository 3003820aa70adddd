import { beginsWithKey, beyond, keyAt, lineValue, valueText } from './plain-yaml-line.ts';

/*
 * Most documents of a mesh use a small part of YAML. Reading that part line by line costs a tenth of what a whole parser costs, which keeps
 * every character, comment and anchor. The part is chosen so that each construct in it has one meaning, and whatever is not plainly of it is
 * left to the whole parser, errors above all: https://yaml.org/spec/1.2.2/
 *
 * In it: block maps and lists, scalars and flow collections that begin and end on one line, comments. Not in it: tabs, carriage returns, block
 * scalars, scalars of several lines, anchors, aliases, tags, merge keys, keys that stand twice, markers other than a first `---`.
 */

export interface PlainDocument {
  readonly value: Record<string, unknown>;
  /** Offset and line (from 0) of its first key, which stands in column 0. */
  readonly start: number;
  readonly line: number;
}

/** The map that a document is. undefined: it is none, or beyond what is read here. `depth`: nesting that is not read any more. */
export function readPlainYaml(text: string, depth: number): PlainDocument | undefined {
  if (/[\t\r\u0085\u2028\u2029\ufeff]/.test(text)) return undefined;
  const reader = new PlainReader(text, depth);
  try {
    return reader.read();
  } catch (error) {
    if (error !== beyond) throw error;
    return undefined;
  }
}

interface Line {
  /** Without indentation, comments not cut off. */
  readonly text: string;
  readonly indent: number;
  readonly start: number;
  readonly number: number;
}

class PlainReader {
  readonly #depth: number;
  readonly #lines: Line[];
  #at = 0;

  constructor(text: string, depth: number) {
    this.#depth = depth;
    this.#lines = linesOf(text);
  }

  read(): PlainDocument | undefined {
    const [marker] = this.#lines;
    if (marker?.indent === 0 && /^--- *$/.test(marker.text)) this.#at++;
    const first = this.#lines[this.#at];
    if (first?.indent !== 0 || isItem(first.text)) return undefined;
    const value = this.#blockMap(0, 0);
    if (this.#at < this.#lines.length) return undefined;
    return { value, start: first.start, line: first.number };
  }

  /** The node of lines deeper than `parent`, or none. */
  #nested(parent: number, depth: number): unknown {
    const line = this.#lines[this.#at];
    if (!line || line.indent <= parent) return null;
    return isItem(line.text) ? this.#list(line.indent, depth) : this.#blockMap(line.indent, depth);
  }

  #blockMap(indent: number, depth: number): Record<string, unknown> {
    this.#checkDepth(depth);
    const map: Record<string, unknown> = {};
    this.#entries(map, indent, depth);
    return map;
  }

  #entries(map: Record<string, unknown>, indent: number, depth: number): void {
    for (let line = this.#lines[this.#at]; line?.indent === indent; line = this.#lines[this.#at]) {
      if (isItem(line.text)) break;
      this.#at++;
      this.#entry(map, line.text, indent, depth);
    }
    this.#checkEnd(indent);
  }

  /** `text` begins with the key. */
  #entry(map: Record<string, unknown>, text: string, indent: number, depth: number): void {
    const { key, end } = keyAt(text);
    if (Object.hasOwn(map, key)) throw beyond;
    const rest = valueText(text, end);
    if (rest !== '') {
      map[key] = lineValue(rest, depth + 1, this.#depth);
      this.#checkEnd(indent);
      return;
    }
    const next = this.#lines[this.#at];
    // A list may stand as far left as the key that it belongs to.
    const isBeside = next?.indent === indent && isItem(next.text);
    map[key] = isBeside ? this.#list(indent, depth + 1) : this.#nested(indent, depth + 1);
  }

  #list(indent: number, depth: number): unknown[] {
    this.#checkDepth(depth);
    const list: unknown[] = [];
    for (let line = this.#lines[this.#at]; line?.indent === indent; line = this.#lines[this.#at]) {
      if (!isItem(line.text)) break;
      this.#at++;
      list.push(this.#item(line.text, indent, depth + 1));
    }
    this.#checkEnd(indent);
    return list;
  }

  #item(text: string, indent: number, depth: number): unknown {
    const rest = valueText(text, 1);
    if (rest === '') return this.#nested(indent, depth);
    if (isItem(rest)) throw beyond;
    if (!beginsWithKey(rest)) {
      const value = lineValue(rest, depth, this.#depth);
      this.#checkEnd(indent);
      return value;
    }
    // A map whose first key stands behind the dash: the others stand below that key.
    const inner = indent + text.length - rest.length;
    this.#checkDepth(depth);
    const map: Record<string, unknown> = {};
    this.#entry(map, rest, inner, depth);
    this.#entries(map, inner, depth);
    return map;
  }

  /** What goes on deeper than the node that ended belongs to a scalar of several lines, or is a mistake. */
  #checkEnd(indent: number): void {
    const next = this.#lines[this.#at];
    if (next && next.indent > indent) throw beyond;
  }

  #checkDepth(depth: number): void {
    if (depth >= this.#depth) throw beyond;
  }
}

/** Lines that say something. */
function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  let number = 0;
  for (let start = 0; start < text.length; number++) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    let first = start;
    while (first < end && text.charCodeAt(first) === 0x20) first++;
    if (first < end && text.charCodeAt(first) !== 0x23)
      lines.push({ text: text.slice(first, end), indent: first - start, start: first, number });
    start = end + 1;
  }
  return lines;
}

function isItem(text: string): boolean {
  return text === '-' || text.startsWith('- ');
}

import { resolvePlainScalar } from './yaml-value.ts';

/* Keys, scalars and flow collections that begin and end on one line: see plain-yaml.ts. */

/** Thrown often, so made once. */
export const beyond = new Error('not in the part of YAML that is read line by line');

const plainKey = /([A-Za-z0-9_][A-Za-z0-9_./-]*) *:(?= |$)/y;
const quotedKey = /(?:"([^"\\]*)"|'([^']*)') *:(?= |$)/y;
/** Unlike elsewhere, a colon in it is looked at by whoever uses this. */
const flowScalar = /-?[A-Za-z0-9_./][A-Za-z0-9_./@%+=~^$()*?;:|<>& -]*/y;
const flowKey = /([A-Za-z0-9_][A-Za-z0-9_./-]*|"[^"\\]*"|'[^']*'):(?= )/y;
const longestKey = 1000;

export function beginsWithKey(text: string): boolean {
  plainKey.lastIndex = 0;
  quotedKey.lastIndex = 0;
  return plainKey.test(text) || quotedKey.test(text);
}

/** The key that a line begins with, and where its colon ends. */
export function keyAt(text: string): { key: string; end: number } {
  plainKey.lastIndex = 0;
  const plain = plainKey.exec(text)?.[1];
  if (plain !== undefined) return { key: keyOf(plain), end: plainKey.lastIndex };
  quotedKey.lastIndex = 0;
  const quoted = quotedKey.exec(text);
  if (!quoted) throw beyond;
  return { key: allowed(quoted[1] ?? quoted[2] ?? ''), end: quotedKey.lastIndex };
}

function keyOf(plain: string): string {
  const value = resolvePlainScalar(plain);
  if (value === null) throw beyond;
  return allowed(String(value));
}

function allowed(key: string): string {
  if (key === '__proto__' || key.length > longestKey) throw beyond;
  return key;
}

/** What stands behind a key's colon or an item's dash; '' for nothing but a comment. */
export function valueText(text: string, end: number): string {
  let at = end;
  while (text.charCodeAt(at) === 0x20) at++;
  return text.charCodeAt(at) === 0x23 ? '' : text.slice(at);
}

/** The scalar or flow collection that a line ends with, apart from a comment. It stands at `depth`; `limit` is not read any more. */
export function lineValue(text: string, depth: number, limit: number): unknown {
  if (depth >= limit) throw beyond;
  const first = text[0];
  if (first === '{' || first === '[') {
    const flow = new FlowReader(text, limit);
    const value = flow.value(depth);
    checkRest(text, flow.at);
    return value;
  }
  if (first === '"' || first === "'") {
    const { value, end } = quotedAt(text, 0);
    checkRest(text, end);
    return value;
  }
  return plainScalar(text);
}

function checkRest(text: string, end: number): void {
  let at = end;
  while (text.charCodeAt(at) === 0x20) at++;
  if (at < text.length && (at === end || text.charCodeAt(at) !== 0x23)) throw beyond;
}

/** A scalar without quotes at the end of a line. */
function plainScalar(text: string): string | number | boolean | null {
  if (!/^-*[A-Za-z0-9_./$(+=<~^\\;]/.test(text)) throw beyond;
  const comment = text.indexOf(' #');
  let end = comment === -1 ? text.length : comment;
  while (text.charCodeAt(end - 1) === 0x20) end--;
  const scalar = text.slice(0, end);
  if (/:(?: |$)/.test(scalar)) throw beyond;
  return finite(resolvePlainScalar(scalar));
}

function finite(value: string | number | boolean | null): string | number | boolean | null {
  if (typeof value === 'number' && !Number.isFinite(value)) throw beyond;
  return value;
}

const jsonEscapes = /^(?:[^\\]|\\["\\/bfnrt])*$/;

/** A text in quotes, and where it ends. */
function quotedAt(text: string, from: number): { value: string; end: number } {
  const quote = text[from] as string;
  let value = '';
  for (let start = from + 1; ; ) {
    const close = text.indexOf(quote, start);
    if (close === -1) throw beyond;
    if (quote === "'") {
      value += text.slice(start, close);
      if (text[close + 1] !== "'") return { value, end: close + 1 };
      value += "'";
      start = close + 2;
      continue;
    }
    value += text.slice(start, close);
    // An odd number of backslashes escapes the quote.
    if ((/\\*$/.exec(value)?.[0].length ?? 0) % 2 === 0) {
      if (!value.includes('\\')) return { value, end: close + 1 };
      if (!jsonEscapes.test(value)) throw beyond;
      return { value: JSON.parse(`"${value}"`) as string, end: close + 1 };
    }
    value += '"';
    start = close + 1;
  }
}

/** Reads flow collections that end on their line. */
class FlowReader {
  readonly #text: string;
  readonly #depth: number;
  at = 0;

  constructor(text: string, depth: number) {
    this.#text = text;
    this.#depth = depth;
  }

  value(depth: number): unknown {
    if (depth >= this.#depth) throw beyond;
    const first = this.#text[this.at];
    if (first === '{') return this.#map(depth);
    if (first === '[') return this.#list(depth);
    if (first === '"' || first === "'") {
      const { value, end } = quotedAt(this.#text, this.at);
      this.at = end;
      return value;
    }
    return this.#plain();
  }

  #map(depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    this.#members('}', () => {
      flowKey.lastIndex = this.at;
      const found = flowKey.exec(this.#text)?.[1];
      if (found === undefined) throw beyond;
      const key = /^["']/.test(found) ? allowed(found.slice(1, -1)) : keyOf(found);
      if (Object.hasOwn(map, key)) throw beyond;
      this.at = flowKey.lastIndex;
      this.#skipSpaces();
      map[key] = this.value(depth + 1);
    });
    return map;
  }

  #list(depth: number): unknown[] {
    const list: unknown[] = [];
    this.#members(']', () => list.push(this.value(depth + 1)));
    return list;
  }

  #members(close: string, read: () => void): void {
    this.at++;
    this.#skipSpaces();
    if (this.#text[this.at] === close) {
      this.at++;
      return;
    }
    for (;;) {
      read();
      this.#skipSpaces();
      const next = this.#text[this.at++];
      if (next === close) return;
      if (next !== ',') throw beyond;
      this.#skipSpaces();
    }
  }

  #plain(): string | number | boolean | null {
    flowScalar.lastIndex = this.at;
    const found = flowScalar.exec(this.#text)?.[0].trimEnd();
    if (found === undefined || /:(?: |$)/.test(found)) throw beyond;
    this.at += found.length;
    return finite(resolvePlainScalar(found));
  }

  #skipSpaces(): void {
    while (this.#text.charCodeAt(this.at) === 0x20) this.at++;
  }
}

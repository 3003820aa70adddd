import type { Document } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Pair, type YAMLMap } from 'yaml';
import { interpolate } from './interpolate.ts';
import type { MeshFileProblem } from './mesh-file.ts';

/** Reads typed values out of YAML nodes and collects what is wrong, each with its place. */
export class NodeReader {
  readonly problems: MeshFileProblem[] = [];
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(
    file: string,
    document: Document,
    lines: LineCounter,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
    this.#environment = environment;
  }

  problem(node: unknown, message: string): void {
    const range = (node as { range?: readonly number[] } | null | undefined)?.range;
    const { line, col } = this.#lines.linePos(range?.[0] ?? 0);
    this.problems.push({ file: this.#file, line: Math.max(1, line), column: Math.max(1, col), message });
  }

  resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node;
  }

  /** The entries of a mapping whose keys are all text; undefined (and a problem) for anything else. */
  entries(node: unknown, what: string): { key: string; keyNode: Node; value: unknown }[] | undefined {
    const map = this.resolve(node);
    if (!isMap(map)) {
      this.problem(node, `${what} must be a mapping (key: value), not ${describe(map)}`);
      return undefined;
    }
    return mergedPairs(this, map).map((pair) => ({
      key: String(isScalar(pair.key) ? pair.key.value : pair.key),
      keyNode: pair.key as Node,
      value: this.resolve(pair.value),
    }));
  }

  items(node: unknown, what: string): unknown[] | undefined {
    const list = this.resolve(node);
    if (!isSeq(list)) {
      this.problem(node, `${what} must be a list, not ${describe(list)}`);
      return undefined;
    }
    return list.items.map((item) => this.resolve(item));
  }

  /** A scalar as text, `${VARIABLES}` filled in from the environment. */
  text(node: unknown, what: string): string | undefined {
    const scalar = this.resolve(node);
    if (!isScalar(scalar) || scalar.value === null || typeof scalar.value === 'object') {
      this.problem(node, `${what} must be text, not ${describe(scalar)}`);
      return undefined;
    }
    // `1.10` and `0x10` are meant as they are written, not as the numbers that they could be read as.
    const written = typeof scalar.value === 'string' ? scalar.value : (scalar.source ?? String(scalar.value));
    const result = interpolate(written, this.#environment);
    if (result.error === undefined) return result.value;
    this.problem(node, `${what}: ${result.error}`);
    return undefined;
  }

  /** Whether a text, or one of a list of texts, asks for a variable that the environment does not have and gives no other value. */
  isUnset(node: unknown, variable: string): boolean {
    const resolved = this.resolve(node);
    if (isSeq(resolved)) return resolved.items.some((item) => this.isUnset(item, variable));
    const asked = new RegExp(`(?<!\\$)\\$(?:${variable}\\b|\\{${variable}\\})`);
    return (
      this.#environment[variable] === undefined &&
      isScalar(resolved) &&
      typeof resolved.value === 'string' &&
      asked.test(resolved.value.replaceAll('$$', ''))
    );
  }

  integer(node: unknown, what: string, min: number, max: number): number | undefined {
    const text = this.text(node, what);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text.trim()) && value >= min && value <= max) return value;
    this.problem(node, `${what} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    return undefined;
  }

  oneOf<T extends string>(node: unknown, what: string, allowed: readonly T[]): T | undefined {
    const text = this.text(node, what);
    if (text === undefined) return undefined;
    const found = allowed.find((value) => value === text);
    if (found === undefined)
      this.problem(node, `${what} must be one of ${allowed.join(', ')}, not ${JSON.stringify(text)}`);
    return found;
  }

  /** A name as Kubernetes wants it (RFC 1123 label). */
  label(node: unknown, what: string, text = this.text(node, what)): string | undefined {
    if (text === undefined) return undefined;
    if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
    this.problem(
      node,
      `${what} ${JSON.stringify(text)} is not a DNS label: use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends`,
    );
    return undefined;
  }
}

/** YAML's `<<` merge, for the x- anchors that Compose files use. The mapping's own keys win. */
function mergedPairs(reader: NodeReader, map: YAMLMap, depth = 0): Pair[] {
  const pairs: Pair[] = [];
  const own = new Set(map.items.map(({ key }) => String(isScalar(key) ? key.value : key)));
  for (const pair of map.items) {
    const isMerge = isScalar(pair.key) && pair.key.value === '<<';
    if (!isMerge) {
      pairs.push(pair);
      continue;
    }
    const value = reader.resolve(pair.value);
    const sources = isSeq(value) ? value.items.map((item) => reader.resolve(item)) : [value];
    for (const source of sources) {
      if (!isMap(source) || depth > 8) {
        reader.problem(pair.key, 'the merge key << takes a mapping or a list of mappings');
        continue;
      }
      for (const inherited of mergedPairs(reader, source, depth + 1)) {
        const name = String(isScalar(inherited.key) ? inherited.key.value : inherited.key);
        if (own.has(name)) continue;
        own.add(name);
        pairs.push(inherited);
      }
    }
  }
  return pairs;
}

function describe(node: unknown): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (isScalar(node)) return node.value === null ? 'nothing' : JSON.stringify(node.value);
  return 'nothing';
}

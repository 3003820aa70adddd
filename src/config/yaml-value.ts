import type { Document, Node, Pair, Scalar, YAMLMap } from 'yaml';
import { isAlias, isMap, isScalar, isSeq } from 'yaml';

/** Limits of one document. They stop alias bombs and stack exhaustion, not honest configuration. */
export interface ValueLimits {
  /** Deepest nesting of maps and lists (default 200). */
  depth: number;
  /** Most characters that aliases may add to a document by repetition (default 4 Mi). */
  aliasCharacters: number;
  /** Most values that they may add (default 50,000), beyond one for each character of the document itself. */
  aliasValues: number;
}

export const defaultValueLimits: ValueLimits = {
  depth: 200,
  aliasCharacters: 4 * 1024 * 1024,
  aliasValues: 50_000,
};

/** Receives a complaint about the text at `offset`. */
export type ReportValue = (offset: number, code: string, message: string) => void;

const longTag = 'tag:yaml.org,2002:';
const forbiddenKey = '__proto__';

/**
 * The words that kubectl's reader (sigs.k8s.io/yaml, YAML 1.1 through goyaml.v2) takes for booleans and null when they are
 * not quoted. Single letters are among them.
 */
const words = new Map<string, boolean | null>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((w) => [w, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map(
    (w) => [w, false] as const,
  ),
  ...['', '~', 'null', 'Null', 'NULL'].map((w) => [w, null] as const),
]);

const decimalInteger = /^[-+]?(?:0|[1-9][0-9]*)$/;
const basedInteger = /^([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+))$/;
const decimalFloat = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const notFinite = /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/;

/**
 * The value of an unquoted scalar as kubectl reads it: integers with bases and underscores, floats, the words above;
 * everything else (dates, IPv6 addresses, CIDRs, base-60 times) is a string. `.nan` and `.inf` give a non-finite number.
 */
export function resolvePlainScalar(source: string): string | number | boolean | null {
  const word = words.get(source);
  if (word !== undefined) return word;
  const first = source.charCodeAt(0);
  const digit = first >= 0x30 && first <= 0x39;
  if (!digit && first !== 0x2b && first !== 0x2d && first !== 0x2e) return source;
  if (notFinite.test(source)) return source.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.NaN;
  const plain = first === 0x2e ? source : source.replaceAll('_', '');
  if (decimalInteger.test(plain)) return Number(plain);
  const based = basedInteger.exec(plain);
  if (based) {
    const [, sign, binary, octal, hex] = based;
    const value = Number(
      binary !== undefined ? `0b${binary}` : octal !== undefined ? `0o${octal}` : `0x${hex}`,
    );
    return sign === '-' ? -value : value;
  }
  return decimalFloat.test(plain) ? Number(plain) : source;
}

interface Conversion {
  anchors: Map<string, Node>;
  /** Nodes being converted right now: an alias to one of them would never end. */
  active: Set<Node>;
  aliasDepth: number;
  aliasCharacters: number;
  aliasValues: number;
  limits: ValueLimits;
  report: ReportValue;
  /** Set after a limit was passed: the rest is not worth converting. */
  stopped: boolean;
}

/** The JSON value of a document that was composed with the failsafe schema. Complaints go to `report`. */
export function toJsonValue(document: Document.Parsed, limits: ValueLimits, report: ReportValue): unknown {
  const conversion: Conversion = {
    anchors: new Map(),
    active: new Set(),
    aliasDepth: 0,
    aliasCharacters: 0,
    aliasValues: 0,
    // Who writes much may repeat much: what it costs is then no more than what reading it costs.
    limits: { ...limits, aliasValues: limits.aliasValues + (document.range?.[2] ?? 0) },
    report,
    stopped: false,
  };
  return convertNode(document.contents, conversion, 0);
}

function convertNode(node: unknown, c: Conversion, depth: number): unknown {
  if (c.stopped || node === null || node === undefined) return null;
  if (depth > c.limits.depth) {
    stop(c, node as Node, 'YamlTooDeep', `is nested deeper than ${c.limits.depth} levels; flatten the value`);
    return null;
  }
  if (isAlias(node)) return convertAlias(node, c, depth);
  const anchored = node as Node & { anchor?: string };
  if (anchored.anchor !== undefined) c.anchors.set(anchored.anchor, anchored);
  if (isScalar(node)) return convertScalar(node, c);
  if (!isMap(node) && !isSeq(node)) return null;
  charge(c, node, 2);
  checkCollectionTag(node, c);
  if (anchored.anchor === undefined) return convertCollection(node, c, depth);
  c.active.add(anchored);
  const value = convertCollection(node, c, depth);
  c.active.delete(anchored);
  return value;
}

function convertCollection(node: unknown, c: Conversion, depth: number): unknown {
  if (isSeq(node)) return node.items.map((item) => convertNode(item, c, depth + 1));
  return convertMap(node as YAMLMap, c, depth);
}

function convertMap(map: YAMLMap, c: Conversion, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  let merges: Pair[] | undefined;
  for (const pair of map.items) {
    if (c.stopped) break;
    if (isMergeKey(pair.key)) {
      merges ??= [];
      merges.push(pair);
      continue;
    }
    const key = convertKey(pair.key, c);
    if (key === undefined) continue;
    if (Object.hasOwn(result, key)) {
      c.report(
        startOf(pair.key),
        'YamlDuplicateKey',
        `the key ${JSON.stringify(key)} stands twice in the same map, so one of the two values would be lost; remove one`,
      );
    }
    result[key] = convertNode(pair.value, c, depth + 1);
  }
  for (const pair of merges ?? []) mergeInto(result, pair, c, depth);
  return result;
}

/** `<<`: fields of the merged maps, where the map itself has none; earlier maps of a list win. */
function mergeInto(result: Record<string, unknown>, pair: Pair, c: Conversion, depth: number): void {
  const value = convertNode(pair.value, c, depth + 1);
  const parts = Array.isArray(value) ? value : [value];
  for (const part of parts) {
    if (c.stopped) return;
    if (typeof part !== 'object' || part === null || Array.isArray(part)) {
      c.report(
        startOf(pair.key),
        'YamlMerge',
        'the merge key << needs a map or a list of maps, usually an alias such as *name',
      );
      return;
    }
    for (const [key, field] of Object.entries(part)) if (!Object.hasOwn(result, key)) result[key] = field;
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.type === 'PLAIN' && key.value === '<<';
}

function convertKey(key: unknown, c: Conversion): string | undefined {
  const value = isScalar(key) || isAlias(key) ? convertNode(key, c, 0) : undefined;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    const text = String(value);
    if (text !== forbiddenKey) return text;
    c.report(startOf(key), 'YamlKey', `the key ${forbiddenKey} is not allowed; rename it`);
    return undefined;
  }
  if (!c.stopped) {
    const what = value === null ? 'null' : 'a map or a list';
    c.report(
      startOf(key),
      'YamlKey',
      `a key must be a string, this one is ${what}; give the field a name or quote it`,
    );
  }
  return undefined;
}

function convertScalar(node: Scalar, c: Conversion): unknown {
  const text = typeof node.value === 'string' ? node.value : '';
  charge(c, node, text.length + 1);
  const tag = node.tag;
  const plain = node.type === 'PLAIN';
  if (tag === undefined || tag === '?') return plain ? finite(resolvePlainScalar(text), node, c) : text;
  if (tag === '!' || tag === `${longTag}str`) return text;
  const value = resolvePlainScalar(text);
  const short = tag.startsWith(longTag) ? tag.slice(longTag.length) : undefined;
  if (short === 'int' && Number.isInteger(value)) return value;
  if (short === 'float' && typeof value === 'number') return finite(value, node, c);
  if (short === 'bool' && typeof value === 'boolean') return value;
  if (short === 'null' && value === null) return null;
  if (short === 'timestamp') return text;
  reportTag(node, tag, c);
  return text;
}

function finite(value: string | number | boolean | null, node: Node, c: Conversion): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  c.report(
    startOf(node),
    'YamlNumber',
    'JSON has no infinity and no NaN; write a finite number, or quote the text',
  );
  return null;
}

function checkCollectionTag(node: Node & { tag?: string }, c: Conversion): void {
  const expected = isMap(node) ? `${longTag}map` : `${longTag}seq`;
  if (node.tag !== undefined && node.tag !== expected) reportTag(node, node.tag, c);
}

function reportTag(node: Node, tag: string, c: Conversion): void {
  const shown = tag.startsWith(longTag) ? `!!${tag.slice(longTag.length)}` : tag;
  const hint = shown === '!!binary' ? 'write the base64 text as a plain string' : 'remove the tag';
  c.report(
    startOf(node),
    'YamlTag',
    `the tag ${shown} has no meaning for this value in configuration; ${hint}`,
  );
}

function convertAlias(node: Node & { source: string }, c: Conversion, depth: number): unknown {
  const target = c.anchors.get(node.source);
  if (!target) {
    stop(
      c,
      node,
      'YamlAlias',
      `the alias *${node.source} refers to no anchor above it; define &${node.source} first`,
    );
    return null;
  }
  if (c.active.has(target)) {
    stop(
      c,
      node,
      'YamlAliasCycle',
      `the alias *${node.source} stands inside its own anchor, which would never end; write the value out`,
    );
    return null;
  }
  c.aliasDepth++;
  const value = convertNode(target, c, depth);
  c.aliasDepth--;
  return value;
}

/** Counts what aliases repeat. The text itself is bounded by the file limit; only repetition can explode. */
function charge(c: Conversion, node: Node, characters: number): void {
  if (c.aliasDepth === 0) return;
  c.aliasCharacters += characters;
  c.aliasValues++;
  const values = c.aliasValues > c.limits.aliasValues;
  if (!values && c.aliasCharacters <= c.limits.aliasCharacters) return;
  const most = values ? `${c.limits.aliasValues} values` : `${c.limits.aliasCharacters} characters`;
  stop(
    c,
    node,
    'YamlAliasLimit',
    `aliases repeat more than ${most} in this document; write the values out or split the document`,
  );
}

function stop(c: Conversion, node: Node, code: string, message: string): void {
  if (!c.stopped) c.report(startOf(node), code, message);
  c.stopped = true;
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

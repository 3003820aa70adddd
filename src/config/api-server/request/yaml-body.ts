import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseAllDocuments,
  visit,
} from 'yaml';
import { appendStep } from '../../field-path.ts';
import type { ApiLimits } from '../limits.ts';
import { badRequest } from '../status.ts';

export interface ParsedBody {
  value: unknown;
  /** JSON paths of duplicate keys. */
  duplicates: string[];
  /** `line 7, column 3` of the field at a JSON path, or of its nearest parent; undefined when the body has no lines of its own. */
  locate?: (path: string) => string | undefined;
  /** All that `locate` knows. */
  places?: () => Iterable<[path: string, place: string]>;
}

/** Parses one YAML document (YAML 1.2 core schema). Throws a 400 `ApiError` that says line and column. */
export function parseYamlBody(text: string, limits: ApiLimits): ParsedBody {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const all = Array.isArray(documents) ? documents : [];
  const document = all[0];
  if (!document || document.contents === null) throw badRequest('the body is empty');
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  for (const one of all) {
    const error = one.errors[0];
    if (error) throw badRequest(`error parsing YAML: ${place(error.pos[0])}: ${error.message}`);
  }
  if (all.length > 1) {
    throw badRequest(
      `a body holds one YAML document, this one has ${all.length}: send them one by one (${place(all[1]?.range[0] ?? 0)})`,
    );
  }
  const { value, repeats } = expand(document.contents, limits, place, () => document);
  // Positions are worked out for the few bodies that something is wrong with.
  let made: ReturnType<typeof positionIndex> | undefined;
  const positions = () => {
    made ??= positionIndex(document.contents);
    return made;
  };
  return {
    value,
    duplicates: repeats ? positions().duplicates : [],
    locate: (path) => {
      const index = positions();
      for (let at = path; ; at = parentPath(at)) {
        const offset = index.offsets.get(at);
        if (offset !== undefined) return place(offset);
        if (at === '') return undefined;
      }
    },
    *places() {
      for (const [path, offset] of positions().offsets) yield [path, place(offset)];
    },
  };
}

interface AliasTarget {
  anchors: Map<string, unknown>;
}

/**
 * Plain data from a YAML tree. Aliases are copied, so what they add, the number of values and the depth are bounded:
 * "billion laughs" and anchors that contain themselves end here.
 */
function expand(
  root: unknown,
  limits: ApiLimits,
  place: (offset: number) => string,
  document: () => object,
): { value: unknown; repeats: boolean } {
  const target: AliasTarget = { anchors: new Map() };
  visit(document() as Parameters<typeof visit>[0], {
    Node: (_key, node) => {
      if (!isAlias(node) && node.anchor !== undefined) target.anchors.set(node.anchor, node);
    },
  });
  let values = 0;
  let repeated = 0;
  /** Where the outermost alias stands that is being expanded. */
  let expanding: string | undefined;
  let repeats = false;
  const onRepeat = () => {
    repeats = true;
  };
  const open = new Set<unknown>();
  const walk = (node: unknown, depth: number): unknown => {
    const where = () => (isNode(node) && node.range ? place(node.range[0]) : 'the start');
    if (depth > limits.depth) throw badRequest(`${where()}: nested deeper than ${limits.depth} levels`);
    if (++values > limits.yamlValues)
      throw badRequest(`${where()}: more than ${limits.yamlValues} values once anchors are expanded`);
    if (expanding !== undefined) {
      repeated += isScalar(node) && typeof node.value === 'string' ? node.value.length + 1 : 1;
      if (repeated > limits.yamlAliasCharacters)
        throw badRequest(`${expanding}: aliases repeat more than ${limits.yamlAliasCharacters} characters`);
    }
    if (isAlias(node)) {
      const source = target.anchors.get(node.source);
      if (source === undefined) throw badRequest(`${where()}: unknown anchor *${node.source}`);
      if (open.has(source)) throw badRequest(`${where()}: the anchor &${node.source} contains itself`);
      const outer = expanding;
      expanding ??= where();
      const copy = walk(source, depth + 1);
      expanding = outer;
      return copy;
    }
    if (isScalar(node)) return scalar(node.value, where);
    if (!isCollection(node)) return null;
    open.add(node);
    const result = isMap(node)
      ? walkMap(node.items, depth, walk, onRepeat)
      : node.items.map((item) => walk(item, depth + 1));
    open.delete(node);
    return result;
  };
  const value = walk(root, 0);
  return { value, repeats };
}

function walkMap(
  items: readonly { key: unknown; value: unknown }[],
  depth: number,
  walk: (node: unknown, depth: number) => unknown,
  onRepeat: () => void,
): unknown {
  const entries = new Map<string, unknown>();
  for (const { key, value } of items) {
    const name = keyText(key);
    if (entries.has(name)) onRepeat();
    entries.set(name, value === null || value === undefined ? null : walk(value, depth + 1));
  }
  return Object.fromEntries(entries);
}

function keyText(key: unknown): string {
  if (isScalar(key)) return String(key.value);
  return String(key);
}

function scalar(value: unknown, where: () => string): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw badRequest(`${where()}: ${value} has no form in JSON; write a string or a finite number`);
  }
  if (value instanceof Date) return value.toISOString();
  if (value === undefined) return null;
  return value;
}

/** Offset of every key and item by JSON path, and the paths of keys that stand twice. */
function positionIndex(root: unknown): { offsets: Map<string, number>; duplicates: string[] } {
  const offsets = new Map<string, number>();
  const duplicates: string[] = [];
  const walk = (node: unknown, path: string): void => {
    if (isNode(node) && node.range && !offsets.has(path)) offsets.set(path, node.range[0]);
    if (!isCollection(node)) return;
    node.items.forEach((item, i) => {
      if (!isPair(item)) {
        walk(item, appendStep(path, i));
        return;
      }
      const at = appendStep(path, keyText(item.key));
      const key = item.key;
      if (offsets.has(at)) duplicates.push(at);
      else if (isNode(key) && key.range) offsets.set(at, key.range[0]);
      walk(item.value, at);
    });
  };
  walk(root, '');
  return { offsets, duplicates };
}

export function parentPath(path: string): string {
  if (path.endsWith(']')) return path.slice(0, path.lastIndexOf('['));
  const dot = path.lastIndexOf('.');
  return dot < 0 ? '' : path.slice(0, dot);
}

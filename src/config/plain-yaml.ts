import type { Event } from 'js-yaml';
import {
  COLLECTION_STYLE,
  constructFromEvents,
  defineMappingTag,
  defineScalarTag,
  EVENT_ID,
  NOT_RESOLVED,
  parseEvents,
  Schema,
  seqTag,
  strTag,
} from 'js-yaml';
import { positionInText } from './yaml-positions.ts';
import { resolvePlainScalar } from './yaml-value.ts';

/*
 * Nearly all documents of a mesh are one map without anchors, tags and merge keys. js-yaml reads those in a quarter of the time of the parser
 * that keeps every character, comment and anchor. What it may read otherwise than that one is left to it, errors above all, so that there
 * is one answer; test/property/plain-yaml.test.ts compares them. https://yaml.org/spec/1.2.2/
 */

export interface PlainDocument {
  readonly value: Record<string, unknown>;
  /** Offset of its first key, and that place's line and column (from 0). */
  readonly start: number;
  readonly line: number;
  readonly column: number;
}

/** Tabs and uncommon line breaks, an escaped line break, markers, block scalars that say how deep they stand. */
const elsewhere = /[\t\r\u0085\u2028\u2029\ufeff]|\\ *\n|^ *\.\.\.|^ +---|[|>][-+]?[1-9]/m;
const longestKey = 1000;

/** What `resolvePlainScalar` may make something else of than a text begins with one of these. */
const firstOfValues = ['', ...'0123456789+-.~yYnNtTfFoO'];

const plainTag = defineScalarTag<string | number | boolean | null>('tag:yaml.org,2002:plain', {
  implicit: true,
  implicitFirstChars: firstOfValues,
  resolve: (source) => {
    const value = resolvePlainScalar(source);
    if (typeof value === 'number' && !Number.isFinite(value)) throw new Error('JSON has no such number');
    return value === source ? NOT_RESOLVED : value;
  },
  identify: () => false,
});

/** Keys are texts, numbers and booleans, as in yaml-value.ts. */
function keyText(key: unknown): string | undefined {
  if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'boolean') return undefined;
  const text = String(key);
  return text === '__proto__' || text === '<<' || text.length > longestKey ? undefined : text;
}

const mapTag = defineMappingTag<Record<string, unknown>>('tag:yaml.org,2002:map', {
  create: () => ({}),
  has: (map, key) => Object.hasOwn(map, String(key)),
  addPair: (map, key, value) => {
    const text = keyText(key);
    if (text === undefined) return 'a key with a meaning of its own';
    map[text] = value;
    return '';
  },
  keys: Object.keys,
  get: (map, key) => map[String(key)],
  identify: () => false,
});

const schema = new Schema([strTag, plainTag, seqTag, mapTag]);

/** The map that a document is. undefined: it is none, or one for the whole parser. `depth`: nesting that is not read any more. */
export function readPlainYaml(text: string, depth: number): PlainDocument | undefined {
  if (elsewhere.test(text)) return undefined;
  try {
    const events = parseEvents(text, { maxDepth: depth });
    const root = events[1];
    if (root?.type !== EVENT_ID.MAPPING || !isPlain(events, text)) return undefined;
    const [value] = constructFromEvents(events, { source: text, schema });
    return {
      value: value as Record<string, unknown>,
      start: root.start,
      ...positionInText(text, root.start),
    };
  } catch {
    // Whatever it is, the stack's end included: the whole parser says it, with its place and a mend.
    return undefined;
  }
}

/** What the next node is to the collection that is open: a key of a block map, or anything else. */
const isKey = 1;
const isValue = 2;
const isOther = 0;

/** Whether both parsers read it alike: no anchor, tag, alias, directive or second document, nor a pair that is a list's item. */
function isPlain(events: readonly Event[], text: string): boolean {
  const open: number[] = [];
  for (const [index, event] of events.entries()) {
    if (event.type === EVENT_ID.POP) {
      open.pop();
      continue;
    }
    if (event.type === EVENT_ID.DOCUMENT) {
      if (index > 0 || event.directives.length > 0) return false;
      open.push(isOther);
      continue;
    }
    if (event.type === EVENT_ID.ALIAS || event.anchorStart !== -1 || event.tagStart !== -1) return false;
    const place = open.at(-1) ?? isOther;
    if (place === isKey && (event.type !== EVENT_ID.SCALAR || !isFirstOnLine(text, event.valueStart)))
      return false;
    if (place !== isOther) open[open.length - 1] = place === isKey ? isValue : isKey;
    if (event.type === EVENT_ID.SCALAR) continue;
    const isBlock = event.style === COLLECTION_STYLE.BLOCK;
    const isMap = event.type === EVENT_ID.MAPPING;
    if (isMap && !isBlock && text[event.start] !== '{') return false;
    open.push(isMap && isBlock ? isKey : isOther);
  }
  return true;
}

/**
 * Whether nothing but its quote, spaces and dashes stand before it. js-yaml 5.5 takes what follows a list's item on the item's line, as in
 * `- {a: b} c: d`, for a key of the map around the list.
 */
function isFirstOnLine(text: string, offset: number): boolean {
  let at = offset - 1;
  if (text[at] === '"' || text[at] === "'") at--;
  while (text[at] === ' ' || text[at] === '-') at--;
  return at < 0 || text[at] === '\n';
}

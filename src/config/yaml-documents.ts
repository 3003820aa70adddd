import type { Document, Node } from 'yaml';
import { Composer, isMap, isSeq, LineCounter, Parser, type YAMLParseError } from 'yaml';
import type { ConfigObject } from './object.ts';
import { type PlainDocument, readPlainYaml } from './plain-yaml.ts';
import { describeYamlError } from './yaml-errors.ts';
import { composeOptions, type TextChunk, YamlPositions } from './yaml-positions.ts';
import { decodeUtf8, findControlCharacter } from './yaml-text.ts';
import { defaultValueLimits, toJsonValue, type ValueLimits } from './yaml-value.ts';

/** One thing wrong with a file. Line and column start at 1; both are 1 where the whole file is meant. */
export interface YamlProblem {
  file: string;
  line: number;
  column: number;
  /** Stable code, such as `YamlSyntax`, `YamlDuplicateKey`, `YamlEncoding`, `YamlTooLarge`. */
  code: string;
  /** What is wrong, why, and how to mend it. */
  message: string;
}

/** An object and where it stands. */
export interface ParsedObject {
  object: ConfigObject;
  positions: YamlPositions;
}

export interface YamlLimits extends ValueLimits {
  /** Largest file in bytes (default 32 MiB). */
  bytes: number;
  /** Most objects of one file (default 20,000). */
  objects: number;
  /** Most problems reported for one file (default 20). */
  problems: number;
}

export const defaultYamlLimits: YamlLimits = {
  ...defaultValueLimits,
  bytes: 32 * 1024 * 1024,
  objects: 20_000,
  problems: 20,
};

/** What a file holds. With problems, `objects` are those of its sound documents: most callers then apply none. */
export interface ParsedYaml {
  objects: ParsedObject[];
  problems: YamlProblem[];
  /** For a later parse of the same file, which then costs only what changed. */
  chunks: ParsedChunk[];
}

export interface ParsedChunk extends TextChunk {
  objects: ParsedObject[];
  /** Lines counted from the chunk's first. */
  problems: YamlProblem[];
}

export interface ParseYamlOptions {
  limits?: Partial<YamlLimits>;
  /** An earlier parse: documents whose text is the same keep their objects, by identity, and their positions follow. */
  reuse?: readonly ParsedChunk[];
}

/**
 * Reads YAML (or JSON, which is YAML) as kubectl does: several documents, empty ones skipped, `List` kinds unfolded,
 * YAML 1.1 booleans. Never throws for bad input.
 */
export function parseYamlDocuments(
  content: string | Uint8Array,
  file: string,
  options: ParseYamlOptions = {},
): ParsedYaml {
  const steps = parseYamlInSteps(content, file, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same in steps of one document, for callers that must not hold the event loop. */
export function* parseYamlInSteps(
  content: string | Uint8Array,
  file: string,
  options: ParseYamlOptions = {},
): Generator<undefined, ParsedYaml> {
  const limits = { ...defaultYamlLimits, ...options.limits };
  const refused = (problem: Omit<YamlProblem, 'file'>): ParsedYaml => {
    return { objects: [], problems: [{ file, ...problem }], chunks: [] };
  };
  if (content.length > limits.bytes) return refuseTooLarge(file, content.length, limits.bytes);
  const decoded =
    typeof content === 'string' ? { text: content.replace(/^\uFEFF/, '') } : decodeUtf8(content);
  if ('problem' in decoded) return refused(decoded.problem);
  const control = findControlCharacter(decoded.text);
  if (control) return refused(control);

  const result: ParsedYaml = { objects: [], problems: [], chunks: [] };
  const known = indexByText(options.reuse);
  for (const { text, line } of splitDocuments(decoded.text)) {
    const chunk = takeKnown(known, text, file, line) ?? parseChunk({ file, text, line }, limits);
    if (chunk.objects.length > 0 || chunk.problems.length > 0) {
      result.chunks.push(chunk);
      for (const object of chunk.objects) result.objects.push(object);
      for (const problem of chunk.problems) {
        if (result.problems.length < limits.problems)
          result.problems.push({ ...problem, file, line: problem.line + line });
      }
    }
    if (result.objects.length > limits.objects) {
      return refused({
        line: line + 1,
        column: 1,
        code: 'YamlTooManyObjects',
        message: `the file holds more than ${limits.objects} objects; split it into several files`,
      });
    }
    yield undefined;
  }
  return result;
}

/** The answer for a file that is too large to be read at all. */
export function refuseTooLarge(file: string, bytes: number, limit: number): ParsedYaml {
  const mebibytes = (n: number) => `${Math.round((n / 1024 / 1024) * 10) / 10} MiB`;
  const message = `the file has ${mebibytes(bytes)}, more than the limit of ${mebibytes(limit)}; split it into several files`;
  return { objects: [], chunks: [], problems: [{ file, line: 1, column: 1, code: 'YamlTooLarge', message }] };
}

/** Cuts at `---` lines, which end a document wherever they stand in column 1. A piece with directives stays with the next one. */
function* splitDocuments(text: string): Generator<{ text: string; line: number }> {
  const marker = /^---(?=[ \t\r\n]|$)/gm;
  let start = 0;
  let line = 0;
  for (;;) {
    const match = marker.exec(text);
    const end = match ? match.index : text.length;
    const piece = text.slice(start, end);
    if (match && /^%/m.test(piece)) continue;
    if (end > start) yield { text: piece, line };
    if (!match) return;
    line += countLines(piece);
    start = end;
  }
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}

function indexByText(chunks: readonly ParsedChunk[] | undefined): Map<string, ParsedChunk[]> {
  const index = new Map<string, ParsedChunk[]>();
  for (const chunk of chunks ?? []) {
    const same = index.get(chunk.text);
    if (same) same.push(chunk);
    else index.set(chunk.text, [chunk]);
  }
  return index;
}

/** Each known chunk is taken once: a document that stands twice makes two objects, which the caller reports. */
function takeKnown(
  known: Map<string, ParsedChunk[]>,
  text: string,
  file: string,
  line: number,
): ParsedChunk | undefined {
  const chunk = known.get(text)?.shift();
  if (!chunk || chunk.problems.length > 0) return undefined;
  // Not Object.assign of a copy: positions given out earlier refer to this very chunk. The new text replaces the equal
  // old one because a slice keeps its whole file alive.
  chunk.text = text;
  chunk.file = file;
  chunk.line = line;
  return chunk;
}

function parseChunk(base: TextChunk, limits: YamlLimits): ParsedChunk {
  const chunk: ParsedChunk = { ...base, objects: [], problems: [] };
  const plain = plainObject(base.text, limits);
  if (plain) {
    const slice = { start: plain.start, end: base.text.length, line: plain.line, column: plain.column };
    chunk.objects.push({ object: plain.value as ConfigObject, positions: new YamlPositions(chunk, slice) });
    return chunk;
  }
  const counter = new LineCounter();
  const report = (offset: number, code: string, message: string): void => {
    if (chunk.problems.length >= limits.problems) return;
    const { line, col } = counter.linePos(offset);
    chunk.problems.push({
      file: base.file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      code,
      message,
    });
  };
  try {
    const composer = new Composer(composeOptions);
    for (const document of composer.compose(new Parser(counter.addNewLine).parse(base.text))) {
      readDocument(document, chunk, counter, limits, report);
      if (chunk.objects.length > limits.objects) break;
    }
  } catch (error) {
    // The composer is recursive: absurd nesting exhausts the stack before our own depth check sees it.
    if (!(error instanceof RangeError)) throw error;
    chunk.objects = [];
    report(
      0,
      'YamlTooDeep',
      `the document is nested too deeply to be read; keep below ${limits.depth} levels`,
    );
  }
  return chunk;
}

/** A document that is one sound object and plainly written; all others, and every complaint, are the whole parser's. */
function plainObject(text: string, limits: YamlLimits): PlainDocument | undefined {
  const plain = readPlainYaml(text, limits.depth);
  if (!plain || limits.objects < 1) return undefined;
  const { apiVersion, kind, metadata } = plain.value;
  if (typeof apiVersion !== 'string' || apiVersion === '') return undefined;
  if (typeof kind !== 'string' || kind === '' || kind.endsWith('List')) return undefined;
  return nameProblem(kind, metadata) === undefined ? plain : undefined;
}

function readDocument(
  document: Document.Parsed,
  chunk: ParsedChunk,
  counter: LineCounter,
  limits: YamlLimits,
  report: (offset: number, code: string, message: string) => void,
): void {
  // The first error only: those after it in the same document mostly follow from it.
  const error: YAMLParseError | undefined = document.errors[0];
  if (error) {
    const { code, message } = describeYamlError(error);
    report(error.pos[0], code, message);
    return;
  }
  const before = chunk.problems.length;
  const value = toJsonValue(document, limits, report);
  if (chunk.problems.length > before || value === null) return;
  collectObjects(value, document.contents, { chunk, counter, report, limits }, undefined, 0);
}

interface Collector {
  chunk: ParsedChunk;
  counter: LineCounter;
  limits: YamlLimits;
  report: (offset: number, code: string, message: string) => void;
}

/** Type of a list's items, for lists such as `ServiceList` whose items leave it out. */
interface ItemType {
  apiVersion: string;
  kind: string;
}

function collectObjects(
  value: unknown,
  node: Node | null,
  into: Collector,
  itemType: ItemType | undefined,
  depth: number,
): void {
  const offset = node?.range?.[0] ?? 0;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const what = Array.isArray(value) ? 'a list' : `the ${typeof value} ${JSON.stringify(value)}`;
    into.report(
      offset,
      'YamlNotAnObject',
      `expected an object with apiVersion, kind and metadata, found ${what}; separate objects with --- lines, or put them under items of a kind List`,
    );
    return;
  }
  const fields = value as Record<string, unknown>;
  if (itemType) {
    fields.apiVersion ??= itemType.apiVersion;
    fields.kind ??= itemType.kind;
  }
  if (!checkType(fields, node, into)) return;
  const object = fields as ConfigObject;
  if (object.kind.endsWith('List') && Array.isArray(object.items)) {
    collectItems(object, object.items, node, into, depth);
    return;
  }
  if (!checkName(fields, node, into)) return;
  if (into.chunk.objects.length > into.limits.objects) return;
  const { line, col } = into.counter.linePos(offset);
  const end = node?.range?.[1] ?? into.chunk.text.length;
  const slice = { start: offset, end, line: line - 1, column: col - 1 };
  into.chunk.objects.push({ object, positions: new YamlPositions(into.chunk, slice) });
}

function collectItems(
  list: ConfigObject,
  items: unknown[],
  node: Node | null,
  into: Collector,
  depth: number,
): void {
  if (depth >= 3) {
    into.report(
      node?.range?.[0] ?? 0,
      'YamlTooDeep',
      'lists within lists go deeper than 3; write the objects as documents',
    );
    return;
  }
  const itemsNode = isMap(node) ? node.get('items', true) : undefined;
  const type =
    list.kind === 'List'
      ? undefined
      : { apiVersion: list.apiVersion, kind: list.kind.slice(0, -'List'.length) };
  for (const [index, item] of items.entries()) {
    const itemNode = isSeq(itemsNode) ? (itemsNode.items[index] as Node) : node;
    collectObjects(item, itemNode, into, type, depth + 1);
  }
}

function checkType(fields: Record<string, unknown>, node: Node | null, into: Collector): boolean {
  for (const field of ['apiVersion', 'kind'] as const) {
    const value = fields[field];
    if (typeof value === 'string' && value !== '') continue;
    const example = field === 'kind' ? 'kind: VirtualService' : 'apiVersion: networking.istio.io/v1';
    const state = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}, not a text`;
    into.report(
      offsetOfField(node, field),
      'YamlNotAnObject',
      `${field} ${state}; write for example "${example}"`,
    );
    return false;
  }
  return true;
}

function checkName(fields: Record<string, unknown>, node: Node | null, into: Collector): boolean {
  const problem = nameProblem(String(fields.kind), fields.metadata);
  if (problem !== undefined) into.report(offsetOfField(node, 'metadata'), 'YamlNotAnObject', problem);
  return problem === undefined;
}

function nameProblem(kind: string, metadata: unknown): string | undefined {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    return `this ${kind} has no metadata; give it at least "metadata: {name: …}"`;
  const { name, generateName, namespace } = metadata as Record<string, unknown>;
  for (const [field, value] of Object.entries({ name, generateName, namespace })) {
    if (value === undefined || value === null || typeof value === 'string') continue;
    return `metadata.${field} is ${JSON.stringify(value)}, not a text; put it in quotes`;
  }
  return name || generateName ? undefined : `this ${kind} has no metadata.name; give it one`;
}

function offsetOfField(node: Node | null, field: string): number {
  const start = node?.range?.[0] ?? 0;
  if (!isMap(node)) return start;
  const pair = node.items.find((item) => (item.key as { value?: unknown } | null)?.value === field);
  return (pair?.key as Node | undefined)?.range?.[0] ?? start;
}

import { resolveHost } from '../plan/hosts.ts';
import { type EditorContext, metadataOf } from './complete.ts';
import { type Candidate, candidates, type Reference, referenceAt } from './references.ts';
import type { RuleRef } from './route-hover.ts';
import { kindOf, rootSchema, schemaAt, typeText } from './schema-at.ts';
import { type Cursor, cursorAt, rootField, siblingValue } from './yaml-cursor.ts';

/** The place of a name in a text, and what it can stand for. */
interface Place {
  readonly cursor: Cursor;
  readonly reference: Reference | undefined;
  readonly found: readonly Candidate[];
}

/** The rule of a VirtualService that a place belongs to: the cursor is on one of its own fields. */
export function ruleAt(text: string, line: number, character: number): RuleRef | undefined {
  const lines = text.split(/\r?\n/);
  const cursor = cursorAt(lines, line, character);
  if (cursor?.at !== 'key' || !cursor.isNamed || cursor.path.length !== 3) return undefined;
  const [spec, http, index] = cursor.path;
  if (spec !== 'spec' || http !== 'http' || typeof index !== 'number') return undefined;
  if (rootField(lines, cursor.document, 'kind') !== 'VirtualService') return undefined;
  return { ...metadataOf(lines, cursor), index };
}

export interface HoverText {
  /** Markdown. */
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** What a field is for, and what the name behind it stands for. */
export function hoverAt(
  text: string,
  line: number,
  character: number,
  context: EditorContext,
): HoverText | undefined {
  const lines = text.split(/\r?\n/);
  const place = placeAt(lines, line, character, context);
  if (!place) return undefined;
  const { cursor, found, reference } = place;
  if (cursor.word === '' || character > cursor.to) return undefined;
  const shown = { from: cursor.from, to: cursor.to };
  if (isText(cursor)) {
    if (!reference) return undefined;
    const words = found.map(({ text: name, detail }) => `**${name}**: ${detail}`);
    return { text: words.join('\n\n') || `No ${reference} of this name is known here.`, ...shown };
  }
  const apiVersion = rootField(lines, cursor.document, 'apiVersion');
  const kind = kindOf(context.kinds, apiVersion, rootField(lines, cursor.document, 'kind'));
  const schema = kind && schemaAt(rootSchema(kind, apiVersion), [...cursor.path, cursor.word]);
  if (!kind || !schema) return undefined;
  const heading = `**${cursor.word}** (${typeText(schema)})`;
  const fallback = schema.default === undefined ? '' : `\n\nDefault: \`${JSON.stringify(schema.default)}\``;
  return { text: `${heading}\n\n${schema.description ?? ''}${fallback}`.trim(), ...shown };
}

/** Where what a name stands for is written: objects with their places. */
export function definitionsAt(
  text: string,
  line: number,
  character: number,
  context: EditorContext,
): readonly Candidate[] {
  const place = placeAt(text.split(/\r?\n/), line, character, context);
  return place?.found.filter(({ source }) => source !== undefined) ?? [];
}

function placeAt(
  lines: readonly string[],
  line: number,
  character: number,
  { kinds, sources }: EditorContext,
): Place | undefined {
  const cursor = cursorAt(lines, line, character);
  if (!cursor) return undefined;
  const apiVersion = rootField(lines, cursor.document, 'apiVersion');
  const kind = kindOf(kinds, apiVersion, rootField(lines, cursor.document, 'kind'));
  const reference =
    kind && isText(cursor) ? referenceAt(`${kind.kind}.${kind.group}`, cursor.path) : undefined;
  if (!reference) return { cursor, reference, found: [] };
  const namespace = metadataOf(lines, cursor).namespace;
  const host = reference === 'subset' ? siblingValue(lines, line, cursor, 'host') : '';
  const word = cursor.word.replace(/^(["'])(.*)\1$/, '$2');
  const meant = meaning(reference, word, namespace);
  const found = candidates(reference, sources, namespace, host).filter(
    (candidate) => meaning(reference, candidate.text, namespace) === meant,
  );
  return { cursor, reference, found };
}

/** The value of a field, or an item of a list of texts. */
function isText({ at, isNamed, path }: Cursor): boolean {
  return at === 'value' || (!isNamed && typeof path.at(-1) === 'number');
}

/** The same thing is written in short and in full. */
function meaning(reference: Reference, text: string, namespace: string): string {
  if (reference === 'host') {
    const [name, space, svc] = text.split('.');
    if (space !== undefined && (svc === undefined || text.endsWith('.svc')))
      return `${name}.${space}.svc.cluster.local`;
    return resolveHost(text, namespace, 'cluster.local');
  }
  if (reference === 'gateway' || reference === 'kubernetes-gateway')
    return text.includes('/') || text === 'mesh' ? text : `${namespace}/${text}`;
  return text;
}

import { structuredPatch } from 'diff';
import { stringify } from 'yaml';
import type { ConfigObject } from '../../config/object.ts';
import type { ObjectPair } from '../../control-plane/history/history-entry.ts';
import type { out } from '../output/style.ts';

/** `VirtualService default/reviews`, with the group where its name alone would not do. */
export function pairTitle({ kind, key }: Pick<ObjectPair, 'kind' | 'key'>): string {
  const [group = '', name = ''] = splitLast(kind);
  const where = key.startsWith('/') ? key.slice(1) : key;
  const known = group === '' || group.endsWith('.istio.io') || group === 'gateway.networking.k8s.io';
  return `${name}${known ? '' : `.${group}`} ${where}`;
}

function splitLast(kind: string): [string, string] {
  const slash = kind.lastIndexOf('/');
  return [kind.slice(0, slash), kind.slice(slash + 1)];
}

/** What nobody writes and everybody would have to read over. */
function shown({ metadata, ...rest }: ConfigObject): unknown {
  const { uid: _uid, creationTimestamp: _created, ...kept } = metadata;
  const { apiVersion, kind, ...fields } = rest;
  return { apiVersion, kind, metadata: kept, ...fields };
}

const yamlOf = (object: ConfigObject | undefined): string =>
  object ? stringify(shown(object), { lineWidth: 0, aliasDuplicateObjects: false }) : '';

/** A unified diff of two states of an object, as YAML; '' where nothing that is shown differs. */
export function unifiedDiff(
  pair: ObjectPair,
  labels: { readonly before: string; readonly after: string },
  color: typeof out,
): string {
  const title = pairTitle(pair);
  const [before, after] = [
    pair.before ? `${title}  ${labels.before}` : '/dev/null',
    pair.after ? `${title}  ${labels.after}` : '/dev/null',
  ];
  const { hunks } = structuredPatch(before, after, yamlOf(pair.before), yamlOf(pair.after), '', '', {
    context: 3,
  });
  if (hunks.length === 0) return '';
  const lines = [color.bold(`--- ${before}`), color.bold(`+++ ${after}`)];
  for (const { oldStart, oldLines, newStart, newLines, lines: changed } of hunks) {
    lines.push(color.cyan(`@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`));
    for (const line of changed)
      if (line.startsWith('+')) lines.push(color.green(line));
      else if (line.startsWith('-')) lines.push(color.red(line));
      else if (!line.startsWith('\\')) lines.push(line);
  }
  return `${lines.join('\n')}\n`;
}

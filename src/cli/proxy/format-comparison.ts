import type { Colors } from 'picocolors/types.js';
import { type ConfigComparison, type ConfigDifference, mostFields } from './compare-config.ts';

const words = {
  missing: 'sent, and Envoy does not hold it',
  extra: 'held by Envoy, and not sent',
  differs: 'not the same in Envoy',
} as const;

/** Longest value that is shown of a field. */
const longestValue = 120;

/** A comparison as people read it: a line per type, and below it what is not the same. */
export function formatComparison({ sent, differences }: ConfigComparison, colors: Colors): string {
  const { green, red, bold } = colors;
  return Object.entries(sent)
    .map(([type, count]) => {
      const own = differences.filter((one) => one.type === type);
      if (own.length === 0) return `${green('✔')} ${type}: ${count} sent, all held as they were sent\n`;
      const head = `${red('✘')} ${bold(type)}: ${own.length} of ${count} sent ${own.length === 1 ? 'is' : 'are'} not as they should be\n`;
      return head + own.map((one) => formatDifference(one, colors)).join('');
    })
    .join('');
}

function formatDifference(
  { name, state, refusal, fields }: ConfigDifference,
  { dim, yellow }: Colors,
): string {
  const lines = [`    ${yellow(name)}: ${words[state]}`];
  if (refusal !== undefined) lines.push(`      refused: ${refusal}`);
  for (const { path, sent, held } of fields.slice(0, mostFields))
    lines.push(`      ${path}: ${valueText(sent)} ${dim('→ in Envoy')} ${valueText(held)}`);
  if (fields.length > mostFields)
    lines.push(`      and ${fields.length - mostFields} more fields (-o json shows all)`);
  return `${lines.join('\n')}\n`;
}

function valueText(value: unknown): string {
  if (value === undefined) return 'not set';
  const text = JSON.stringify(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
}

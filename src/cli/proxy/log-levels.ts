import { CodedError } from '../../kit/coded-error.ts';
import { textTable } from '../output/text-table.ts';

const levels = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'];

/** Sets what is asked for (`level`, or `logger:level,…`) and reads the level of each logger. Throws `UsageInvalid`. */
export async function logLevels(
  ask: (page: string, method: 'POST') => Promise<string>,
  wanted: string | undefined,
): Promise<Record<string, string>> {
  const query = wanted === undefined ? undefined : levelQuery(wanted);
  const present = parseLevels(await ask('/logging', 'POST'));
  if (wanted === undefined || query === undefined) return present;
  const unknown = wanted
    .split(',')
    .flatMap((part) => (part.includes(':') ? [part.slice(0, part.lastIndexOf(':')).trim()] : []))
    .find((name) => present[name] === undefined);
  if (unknown !== undefined)
    throw new CodedError(
      'UsageInvalid',
      `--level ${unknown}: Envoy has no logger of that name; it has ${Object.keys(present).sort().join(', ')}`,
    );
  return parseLevels(await ask(`/logging?${query}`, 'POST'));
}

function parseLevels(answer: string): Record<string, string> {
  return Object.fromEntries(
    [...answer.matchAll(/^\s+([\w:./-]+): (\w+)$/gm)].map(([, name = '', level = '']) => [name, level]),
  );
}

/** The query of Envoy's `/logging`. */
export function levelQuery(wanted: string): string {
  const parts = wanted.split(',').map((part) => part.trim());
  const bad = parts.find((part) => !levels.includes(part.split(':').at(-1) ?? ''));
  if (bad !== undefined)
    throw new CodedError(
      'UsageInvalid',
      `--level ${bad}: write a level (${levels.join(', ')}) for all loggers, or logger:level,logger:level`,
    );
  const [only = ''] = parts;
  if (parts.length === 1 && !only.includes(':')) return `level=${only === 'warn' ? 'warning' : only}`;
  const mixed = parts.find((part) => !part.includes(':'));
  if (mixed !== undefined)
    throw new CodedError('UsageInvalid', `--level ${mixed}: a level for all loggers goes alone`);
  return `paths=${encodeURIComponent(parts.join(','))}`;
}

export function logTable(loggers: Readonly<Record<string, string>>): string {
  return textTable(
    ['LOGGER', 'LEVEL'],
    Object.entries(loggers).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

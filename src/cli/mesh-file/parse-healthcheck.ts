import { isScalar, isSeq } from 'yaml';
import { parseDuration } from './duration.ts';
import type { Healthcheck } from './mesh-file.ts';
import type { NodeReader } from './node-reader.ts';

const durations: Readonly<Record<string, 'intervalMs' | 'timeoutMs' | 'startPeriodMs'>> = {
  interval: 'intervalMs',
  timeout: 'timeoutMs',
  start_period: 'startPeriodMs',
};

/** Reads `healthcheck`. Undefined where it is disabled, or wrong (which the reader then knows). */
export function parseHealthcheck(reader: NodeReader, node: unknown): Healthcheck | undefined {
  let test: Healthcheck['test'] | undefined;
  let disabled = false;
  const numbers = { intervalMs: 2_000, timeoutMs: 5_000, retries: 3, startPeriodMs: 0 };
  for (const { key, keyNode, value } of reader.entries(node, 'healthcheck') ?? []) {
    const duration = Object.hasOwn(durations, key) ? durations[key] : undefined;
    if (key === 'test') {
      const parsed = parseTest(reader, value);
      if (parsed === 'none') disabled = true;
      else test = parsed;
    } else if (key === 'retries')
      numbers.retries = reader.integer(value, 'healthcheck.retries', 1, 1_000) ?? 3;
    else if (key === 'disable') disabled = reader.text(value, 'healthcheck.disable') === 'true';
    else if (duration !== undefined) {
      const text = reader.text(value, `healthcheck.${key}`) ?? '';
      const ms = parseDuration(text);
      if (ms === undefined || (ms < 10 && duration !== 'startPeriodMs'))
        reader.problem(
          value,
          `healthcheck.${key} must be a duration such as 500ms, 2s or 1m30s, not ${JSON.stringify(text)}`,
        );
      else numbers[duration] = ms;
    } else
      reader.problem(
        keyNode,
        `healthcheck has the unknown key ${key}; known are test, interval, timeout, retries, start_period, disable`,
      );
  }
  if (disabled) return undefined;
  if (test) return { test, ...numbers };
  if (reader.problems.length === 0)
    reader.problem(
      node,
      'healthcheck has no test; give one, such as test: [HTTP, /health] or test: [CMD, program]',
    );
  return undefined;
}

function parseTest(reader: NodeReader, node: unknown): Healthcheck['test'] | 'none' | undefined {
  if (isScalar(node)) {
    const text = reader.text(node, 'healthcheck.test');
    return text === undefined ? undefined : shell(text);
  }
  if (!isSeq(node)) {
    reader.problem(node, 'healthcheck.test must be text or a list');
    return undefined;
  }
  const words = (reader.items(node, 'healthcheck.test') ?? []).flatMap(
    (item) => reader.text(item, 'healthcheck.test') ?? [],
  );
  const [type, ...rest] = words;
  if (type === 'NONE') return 'none';
  if (type === 'CMD' && rest.length > 0) return { type: 'exec', command: rest };
  if (type === 'CMD-SHELL' && rest.length === 1) return shell(rest[0] ?? '');
  if (type === 'HTTP' && rest.length === 1 && rest[0]?.startsWith('/'))
    return { type: 'http', path: rest[0] };
  reader.problem(
    node,
    'healthcheck.test must be [CMD, program, arguments…], [CMD-SHELL, command line], [HTTP, /path] (asked of the application’s port) or [NONE]',
  );
  return undefined;
}

function shell(line: string): Healthcheck['test'] {
  return { type: 'exec', command: ['/bin/sh', '-c', line] };
}

import { hasKey, isObject } from '../../../kit/json.ts';

/*
 * The JSONPath of Kubernetes' printer columns ("JSONPath Support" in the kubectl reference): fields, quoted fields, indexes and
 * slices, wildcards, recursive descent and filters with one comparison. Unknown fields give no result.
 */

type Step =
  | { type: 'field'; name: string }
  | { type: 'index'; from: number | undefined; to: number | undefined; step: number; single: boolean }
  | { type: 'wildcard' }
  | { type: 'descend' }
  | { type: 'filter'; left: Operand; operator: string; right: Operand }
  | { type: 'exists'; operand: Operand };

type Operand = { path: Step[] } | { value: unknown };

export type JsonPath = (value: unknown) => unknown[];

/** Results of one evaluation; recursive descent must not outgrow the object by much. */
const maxResults = 10_000;

/** Compiles a path with or without braces and leading dot. Undefined when it is not one. */
export function compileJsonPath(text: string): JsonPath | undefined {
  const source = text.trim().replace(/^\{(.*)\}$/s, '$1');
  const steps = parseSteps(source);
  return steps && ((value) => evaluate(steps, value));
}

function parseSteps(source: string): Step[] | undefined {
  const steps: Step[] = [];
  let at = source.startsWith('$') || source.startsWith('@') ? 1 : 0;
  if (at === 0 && source !== '' && !/^[.[]/.test(source)) return parseSteps(`.${source}`);
  while (at < source.length) {
    if (source.startsWith('..', at)) {
      steps.push({ type: 'descend' });
      at += source[at + 2] === '[' ? 2 : 1;
    } else if (source[at] === '.') {
      const name = /^((?:\\.|[^.[\]\\ ])*)/s.exec(source.slice(at + 1))?.[1] ?? '';
      if (name === '*') steps.push({ type: 'wildcard' });
      else if (name !== '') steps.push({ type: 'field', name: name.replaceAll(/\\(.)/g, '$1') });
      at += 1 + name.length;
      if (name === '' && at < source.length && source[at] !== '[') return undefined;
    } else if (source[at] === '[') {
      const end = closingBracket(source, at);
      if (end < 0) return undefined;
      const step = parseBracket(source.slice(at + 1, end).trim());
      if (!step) return undefined;
      steps.push(step);
      at = end + 1;
    } else return undefined;
  }
  return steps;
}

function closingBracket(source: string, start: number): number {
  let depth = 0;
  let quote = '';
  for (let at = start; at < source.length; at++) {
    const char = source[at] ?? '';
    if (quote !== '') {
      if (char === '\\') at++;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '[') depth++;
    else if (char === ']' && --depth === 0) return at;
  }
  return -1;
}

function parseBracket(text: string): Step | undefined {
  if (text === '*') return { type: 'wildcard' };
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted) return { type: 'field', name: (quoted[2] ?? '').replaceAll(/\\(.)/g, '$1') };
  if (text.startsWith('?(') && text.endsWith(')')) return parseFilter(text.slice(2, -1).trim());
  const slice = /^(-?\d+)?(:(-?\d+)?(:(\d+))?)?$/.exec(text);
  if (!slice || text === '') return undefined;
  const number = (part: string | undefined) => (part === undefined ? undefined : Number(part));
  return {
    type: 'index',
    from: number(slice[1]),
    to: number(slice[3]),
    step: Math.max(1, number(slice[5]) ?? 1),
    single: slice[2] === undefined,
  };
}

function parseFilter(text: string): Step | undefined {
  const match = /^(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)$/s.exec(text);
  const left = parseOperand(match ? (match[1] ?? '') : text);
  if (!left) return undefined;
  if (!match) return { type: 'exists', operand: left };
  const right = parseOperand((match[3] ?? '').trim());
  return right && { type: 'filter', left, operator: match[2] ?? '==', right };
}

function parseOperand(text: string): Operand | undefined {
  if (text.startsWith('@') || text.startsWith('$')) {
    const path = parseSteps(text);
    return path && { path };
  }
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted) return { value: (quoted[2] ?? '').replaceAll(/\\(.)/g, '$1') };
  if (text === 'true' || text === 'false') return { value: text === 'true' };
  const number = Number(text);
  return text !== '' && Number.isFinite(number) ? { value: number } : undefined;
}

function evaluate(steps: readonly Step[], value: unknown): unknown[] {
  let results: unknown[] = [value];
  for (const step of steps) results = results.flatMap((one) => apply(step, one)).slice(0, maxResults);
  return results;
}

function apply(step: Step, value: unknown): unknown[] {
  switch (step.type) {
    case 'field':
      return isObject(value) && hasKey(value, step.name) ? [value[step.name]] : [];
    case 'wildcard':
      return childrenOf(value);
    case 'descend':
      return descend(value);
    case 'index':
      return Array.isArray(value) ? pick(value, step) : [];
    case 'exists':
      return childrenOf(value).filter((one) => operand(step.operand, one).length > 0);
    case 'filter':
      return childrenOf(value).filter((one) => {
        const left = operand(step.left, one);
        const right = operand(step.right, one);
        return left.length > 0 && right.length > 0 && compare(left[0], step.operator, right[0]);
      });
  }
}

function childrenOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  return isObject(value) ? Object.values(value) : [];
}

function descend(value: unknown): unknown[] {
  const found: unknown[] = [];
  const open: unknown[] = [value];
  while (open.length > 0 && found.length < maxResults) {
    const one = open.shift();
    found.push(one);
    open.push(...childrenOf(one));
  }
  return found;
}

function pick(list: readonly unknown[], step: Step & { type: 'index' }): unknown[] {
  const wrap = (i: number) => (i < 0 ? i + list.length : i);
  if (step.single) {
    const i = wrap(step.from ?? 0);
    return i >= 0 && i < list.length ? [list[i]] : [];
  }
  const from = Math.max(0, wrap(step.from ?? 0));
  const to = Math.min(list.length, wrap(step.to ?? list.length));
  const picked: unknown[] = [];
  for (let i = from; i < to; i += step.step) picked.push(list[i]);
  return picked;
}

function operand(one: Operand, value: unknown): unknown[] {
  return 'path' in one ? evaluate(one.path, value) : [one.value];
}

function compare(left: unknown, operator: string, right: unknown): boolean {
  if (operator === '==') return left === right;
  if (operator === '!=') return left !== right;
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string')) return false;
  const order = left < (right as number | string) ? -1 : left === right ? 0 : 1;
  if (operator === '<') return order < 0;
  if (operator === '>') return order > 0;
  return operator === '<=' ? order <= 0 : order >= 0;
}

import { isObject } from './json.ts';

/** A JSON value: what `JSON.parse` gives. */
export type Json = unknown;
export type JsonPath = readonly (string | number)[];

/**
 * One step from a value to another. `[path, value]` sets, `[path]` removes a field, `[path, start, count, items]` replaces a stretch
 * of a list. The empty path is the whole value.
 */
export type DeltaStep =
  | readonly [JsonPath, Json]
  | readonly [JsonPath]
  | readonly [JsonPath, number, number, readonly Json[]];

export type JsonDelta = readonly DeltaStep[];

type Fields = Readonly<Record<string, Json>>;

/** A field may have the name of something that every object inherits. */
function own(fields: Fields, name: string): Json {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** The steps from one JSON value to another, in order; none where they are equal. Fields that are undefined count as absent. */
export function diffJson(before: Json, after: Json): JsonDelta {
  const steps: DeltaStep[] = [];
  collect([], before, after, steps);
  return steps;
}

function collect(path: JsonPath, before: Json, after: Json, steps: DeltaStep[]): void {
  if (before === after) return;
  if (isObject(before) && isObject(after)) collectFields(path, before, after, steps);
  else if (Array.isArray(before) && Array.isArray(after)) collectList(path, before, after, steps);
  else if (!isEqual(before, after)) steps.push([path, after]);
}

function collectFields(path: JsonPath, before: Fields, after: Fields, steps: DeltaStep[]): void {
  for (const [name, value] of Object.entries(before))
    if (value !== undefined && own(after, name) === undefined) steps.push([[...path, name]]);
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined) continue;
    const old = own(before, name);
    if (old === undefined) steps.push([[...path, name], value]);
    else collect([...path, name], old, value, steps);
  }
}

function collectList(
  path: JsonPath,
  before: readonly Json[],
  after: readonly Json[],
  steps: DeltaStep[],
): void {
  if (before.length === after.length) {
    for (const [index, value] of after.entries()) collect([...path, index], before[index], value, steps);
    return;
  }
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && isEqual(before[head], after[head])) head++;
  let tail = 0;
  while (tail < shorter - head && isEqual(before.at(-1 - tail), after.at(-1 - tail))) tail++;
  steps.push([path, head, before.length - head - tail, after.slice(head, after.length - tail)]);
}

function isEqual(a: Json, b: Json): boolean {
  const steps: DeltaStep[] = [];
  if (a === b) return true;
  if (!(isObject(a) && isObject(b)) && !(Array.isArray(a) && Array.isArray(b))) return false;
  collect([], a, b, steps);
  return steps.length === 0;
}

/** The value that the steps lead to. The old one stays as it is; what does not change is shared. Throws where a step does not fit. */
export function applyDelta(value: Json, delta: JsonDelta): Json {
  return delta.reduce<Json>((present, step) => applyStep(present, step, 0), value);
}

function applyStep(value: Json, step: DeltaStep, depth: number): Json {
  const [path] = step;
  const key = path[depth];
  if (key === undefined) return applyHere(value, step);
  if (Array.isArray(value) && typeof key === 'number') {
    if (key >= value.length) throw new RangeError(`the delta does not fit: there is no ${path.join('.')}`);
    return value.with(key, applyStep(value[key], step, depth + 1));
  }
  if (!isObject(value) || typeof key !== 'string')
    throw new RangeError(`the delta does not fit: there is no ${path.join('.')}`);
  const copy: Record<string, Json> = { ...value };
  if (depth === path.length - 1 && step.length === 1) delete copy[key];
  else
    Object.defineProperty(copy, key, {
      value: applyStep(own(value, key), step, depth + 1),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return copy;
}

function applyHere(value: Json, step: DeltaStep): Json {
  if (step.length === 2) return step[1];
  if (step.length === 4 && Array.isArray(value)) return value.toSpliced(step[1], step[2], ...step[3]);
  throw new RangeError(`the delta does not fit at ${step[0].join('.')}`);
}

/** `spec.http[0].route`. */
export function formatJsonPath(path: JsonPath): string {
  return path
    .map((key, at) =>
      typeof key === 'number'
        ? `[${key}]`
        : /^[\w-]+$/.test(key)
          ? `${at === 0 ? '' : '.'}${key}`
          : `[${JSON.stringify(key)}]`,
    )
    .join('');
}

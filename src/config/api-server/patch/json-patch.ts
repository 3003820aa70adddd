import { cloneJson, equalJson, hasKey, isObject, type JsonObject, setKey } from '../../../kit/json.ts';
import type { ApiLimits } from '../limits.ts';
import { ApiError, badRequest, tooLarge } from '../status.ts';

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

/** RFC 6902. Returns the patched copy; throws 400 for a malformed patch and 422 for one that does not fit the object. */
export function applyJsonPatch(document: unknown, patch: unknown, limits: ApiLimits): unknown {
  const operations = parsePatch(patch, limits);
  const holder: JsonObject = { root: cloneJson(document) };
  let budget = limits.jsonPatchCopiedValues;
  operations.forEach((operation, i) => {
    const fail = (why: string): never => {
      const where = `operations[${i}] (${operation.op} ${operation.path})`;
      throw new ApiError(422, 'Invalid', `the JSON patch does not fit the object: ${where}: ${why}`, {
        causes: [{ reason: 'FieldValueInvalid', message: why, field: `[${i}].path` }],
      });
    };
    const spend = (value: unknown): unknown => {
      budget -= countValues(value);
      if (budget < 0)
        throw tooLarge(`the JSON patch copies more than ${limits.jsonPatchCopiedValues} values`);
      return cloneJson(value);
    };
    applyOne(holder, operation, fail, spend);
  });
  return holder.root;
}

function parsePatch(patch: unknown, limits: ApiLimits): Operation[] {
  if (!Array.isArray(patch))
    throw badRequest('a JSON patch is a list of operations: [{"op": "add", "path": …, "value": …}]');
  if (patch.length > limits.jsonPatchOperations) {
    throw tooLarge(
      `the JSON patch has ${patch.length} operations, the limit is ${limits.jsonPatchOperations}`,
    );
  }
  return patch.map((operation, i) => {
    const problem = operationProblem(operation);
    if (problem) throw badRequest(`JSON patch: [${i}]: ${problem}`);
    return operation as Operation;
  });
}

function operationProblem(operation: unknown): string | undefined {
  if (!isObject(operation)) return 'an operation is an object';
  const { op, path, from } = operation;
  if (typeof op !== 'string' || !['add', 'remove', 'replace', 'move', 'copy', 'test'].includes(op)) {
    return `op: unknown operation ${JSON.stringify(op)}: use add, remove, replace, move, copy or test`;
  }
  if (typeof path !== 'string' || (path !== '' && !path.startsWith('/')))
    return 'path: must be a JSON pointer that starts with /';
  if (
    (op === 'move' || op === 'copy') &&
    (typeof from !== 'string' || (from !== '' && !from.startsWith('/')))
  ) {
    return 'from: must be a JSON pointer that starts with /';
  }
  if ((op === 'add' || op === 'replace' || op === 'test') && !hasKey(operation, 'value'))
    return 'value: is missing';
  return undefined;
}

type Fail = (why: string) => never;

function applyOne(
  holder: JsonObject,
  operation: Operation,
  fail: Fail,
  copy: (value: unknown) => unknown,
): void {
  const path = pointer(operation.path);
  switch (operation.op) {
    case 'add':
      add(holder, path, copy(operation.value), fail);
      return;
    case 'remove':
      remove(holder, path, fail);
      return;
    case 'replace': {
      read(holder, path, fail);
      const { parent, key } = parentOf(holder, path, fail);
      if (Array.isArray(parent)) parent[index(key, parent.length - 1, fail)] = copy(operation.value);
      else setKey(parent, key, copy(operation.value));
      return;
    }
    case 'move': {
      const from = pointer(operation.from ?? '');
      if (from.length < path.length && from.every((step, i) => step === path[i]))
        fail('cannot move a value into itself');
      add(holder, path, remove(holder, from, fail), fail);
      return;
    }
    case 'copy':
      add(holder, path, copy(read(holder, pointer(operation.from ?? ''), fail)), fail);
      return;
    default:
      if (!equalJson(readOrNull(holder, path), operation.value))
        fail('the test failed: the value there is another');
  }
}

function pointer(text: string): string[] {
  const steps = text.split('/').slice(1);
  return ['root', ...steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))];
}

function read(holder: JsonObject, path: readonly string[], fail: Fail): unknown {
  let at: unknown = holder;
  for (const step of path) {
    if (Array.isArray(at)) at = at[index(step, at.length - 1, fail)];
    else if (isObject(at) && hasKey(at, step)) at = at[step];
    else return fail(`there is no "${step}"`);
  }
  return at;
}

/** A test for null succeeds where nothing is. */
function readOrNull(holder: JsonObject, path: readonly string[]): unknown {
  let missing = false;
  const value = (() => {
    try {
      return read(holder, path, () => {
        missing = true;
        throw new Error('missing');
      });
    } catch {
      return null;
    }
  })();
  return missing ? null : value;
}

function parentOf(
  holder: JsonObject,
  path: readonly string[],
  fail: Fail,
): { parent: JsonObject | unknown[]; key: string } {
  const parent = read(holder, path.slice(0, -1), fail);
  if (!isObject(parent) && !Array.isArray(parent)) return fail('its parent is neither an object nor a list');
  return { parent, key: path.at(-1) ?? '' };
}

function add(holder: JsonObject, path: readonly string[], value: unknown, fail: Fail): void {
  const { parent, key } = parentOf(holder, path, fail);
  if (!Array.isArray(parent)) setKey(parent, key, value);
  else parent.splice(key === '-' ? parent.length : index(key, parent.length, fail), 0, value);
}

function remove(holder: JsonObject, path: readonly string[], fail: Fail): unknown {
  const value = read(holder, path, fail);
  const { parent, key } = parentOf(holder, path, fail);
  if (Array.isArray(parent)) parent.splice(index(key, parent.length - 1, fail), 1);
  else delete parent[key];
  return value;
}

function index(step: string, max: number, fail: Fail): number {
  if (!/^(0|[1-9]\d{0,8})$/.test(step)) return fail(`"${step}" is not an index`);
  return Number(step) <= max ? Number(step) : fail(`index ${step} is out of range`);
}

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  let count = 1;
  for (const item of Object.values(value)) count += countValues(item);
  return count;
}

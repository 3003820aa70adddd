import { hasKey, isObject, type JsonObject, setKey } from '../../../kit/json.ts';

/** RFC 7386: null removes, objects are merged, everything else replaces. Shares parts with both arguments. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setKey(result, key, applyMergePatch(hasKey(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** No configuration object nests this deep; a cyclic one would. */
const maxDepth = 200;

/**
 * Freezes a value all the way down and returns it. Byte views cannot be frozen and stay as they are.
 * By default the walk stops at what is frozen already (results share parts of earlier results); `thorough` visits everything.
 */
export function deepFreeze<T>(value: T, thorough = false): T {
  freezeAt(value, thorough, 0);
  return value;
}

function freezeAt(value: unknown, thorough: boolean, depth: number): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (Object.isFrozen(value) && !thorough) return;
  if (depth > maxDepth)
    throw new Error(
      `a value nests deeper than ${maxDepth} levels or contains itself: pass plain, acyclic data`,
    );
  Object.freeze(value);
  if (Array.isArray(value)) for (const item of value) freezeAt(item, thorough, depth + 1);
  else for (const key in value) freezeAt((value as Record<string, unknown>)[key], thorough, depth + 1);
}

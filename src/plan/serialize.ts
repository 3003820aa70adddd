import { type Origin, originId } from '../config/origin.ts';
import type { Slot, Slotted } from './slot.ts';

/**
 * A plan node as plain data for people: origins as their ids, filled slots by name with the origin that filled them, absent
 * values left out, keys in order of definition.
 */
export function planToData(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(planToData);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (isOrigin(value)) return originId(value);
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    if (key === 'slots') Object.assign(result, slotsToData((value as Slotted).slots));
    else result[key] = planToData(inner);
  }
  return result;
}

function slotsToData(slots: Slotted['slots']): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const visible = [...slots].filter(([slot]: [Slot<unknown>, unknown]) => slot.visible);
  for (const [slot, { value, origin }] of visible.sort(([a], [b]) => (a.name < b.name ? -1 : 1)))
    result[slot.name] = { value: planToData(value), by: originId(origin) };
  return Object.keys(result).length > 0 ? { slots: result } : {};
}

function isOrigin(value: object): value is Origin {
  return (
    'kind' in value &&
    'namespace' in value &&
    'name' in value &&
    'path' in value &&
    Object.keys(value).length === 4
  );
}

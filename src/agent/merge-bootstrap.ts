import { isObject } from '../kit/json.ts';

type Json = Readonly<Record<string, unknown>>;

/** What an EnvoyFilter merges into Envoy's bootstrap. */
export interface BootstrapPatch {
  /** `namespace/name#index`: the EnvoyFilter, and the patch's place in `spec.configPatches`. */
  readonly id: string;
  /** envoy.config.bootstrap.v3.Bootstrap as JSON, in the field names of its proto. */
  readonly value: Json;
}

/** Patches of one proxy; each may cost a trial of Envoy. */
export const mostBootstrapPatches = 64;

/** Fields of which a message takes one: the patch's displaces the other. */
const alternatives: readonly (readonly string[])[] = [
  ['inclusion_list', 'exclusion_list', 'reject_all'],
  ['stats_flush_interval', 'stats_flush_on_admin'],
];

/**
 * The bootstrap with a patch in it: scalars replace, messages merge, lists are appended, as protobuf merges. The node, the way to the
 * control plane and the admin socket stay the agent's: without them nobody could say how the proxy fares.
 */
export function mergeBootstrap(base: Json, patch: Json): Json {
  const { node: _node, dynamic_resources: _resources, admin, ...rest } = patch;
  const { address: _address, ...ofAdmin } = (admin ?? {}) as Json;
  return merge(base, { ...rest, admin: ofAdmin });
}

function merge(below: Json, above: Json): Json {
  if ('@type' in above && above['@type'] !== below['@type']) return above;
  const merged: Record<string, unknown> = { ...below };
  for (const [field, value] of Object.entries(above)) {
    for (const other of alternatives.find((group) => group.includes(field)) ?? [])
      if (other !== field) delete merged[other];
    merged[field] = mergeValue(merged[field], value);
  }
  return merged;
}

function mergeValue(below: unknown, above: unknown): unknown {
  if (Array.isArray(below) && Array.isArray(above)) return [...below, ...above];
  return isObject(below) && isObject(above) ? merge(below, above) : above;
}

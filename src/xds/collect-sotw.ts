import type { Resource } from '../snapshot/resource.ts';
import { collectNamed, isRejected, takeTrial } from './collect-delta.ts';
import { type Draft, makeDraft } from './draft.ts';
import { byName } from './held.ts';
import { type RouteGate, routeGate } from './safe-order.ts';
import { listOf, mapOf, type StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';
import { isFullState, routingTypes } from './xds-type.ts';

/**
 * Chooses the next response of a state-of-the-world stream. Clusters and listeners are sent as a whole, for what a response
 * lacks is removed; of the other types only what changed or was asked for is sent, as the protocol allows.
 */
export function collectSotw(stream: StreamState, watch: Watch): Draft | undefined {
  const gate = routingTypes.includes(watch.typeUrl) ? routeGate(stream) : undefined;
  if (!isFullState(watch.typeUrl)) return collectPart(stream, watch, gate);
  if (!watch.hasWork) return undefined;
  const trial = takeTrial(stream, watch, gate);
  if (trial) return { ...trial, resources: override(watch, trial.resources) };
  watch.absorb();
  const draft = collectWhole(stream, watch, gate);
  if (!draft) return undefined;
  const owed = watch.owed || watch.forced.size > 0;
  watch.owed = false;
  watch.everything = false;
  watch.forced.clear();
  return owed || !isHeld(watch, draft.resources) || isTakenBack(stream, watch) ? draft : undefined;
}

/** Something that the client refused is now as it holds it, or gone: its acknowledgement says that all is well. */
function isTakenBack(stream: StreamState, watch: Watch): boolean {
  if (watch.rejected.size === 0) return false;
  const map = mapOf(stream, watch.typeUrl);
  return [...watch.rejected].some(([name, { version }]) => map.get(name)?.version !== version);
}

function collectPart(stream: StreamState, watch: Watch, gate: RouteGate | undefined): Draft | undefined {
  const trial = takeTrial(stream, watch, gate);
  if (trial) return trial.resources.length > 0 ? trial : undefined;
  if (watch.everything) {
    watch.everything = false;
    for (const name of watch.names.values()) watch.forced.add(name);
    if (watch.wildcard) for (const name of mapOf(stream, watch.typeUrl).keys()) watch.forced.add(name);
  }
  const draft = collectNamed(stream, watch, gate);
  return draft && draft.resources.length > 0 ? makeDraft(draft.resources) : undefined;
}

/** All that the client should hold: the present state, rejected resources at their last good version, and what retires. */
function collectWhole(stream: StreamState, watch: Watch, gate: RouteGate | undefined): Draft | undefined {
  const list = listOf(stream, watch.typeUrl);
  const held = (name: string): Resource | undefined => watch.held.get(name);
  if (gate && !gate.open) {
    const waits = list.some(
      (resource) =>
        held(resource.name)?.version !== resource.version && !gate.allows(resource, !!held(resource.name)),
    );
    watch.gated = waits;
    if (waits) return undefined;
  }
  watch.gated = false;
  const kept = retiringResources(stream, watch);
  watch.dirty.clear();
  if (watch.wildcard && watch.rejected.size === 0 && kept.length === 0) return makeDraft(list);
  const wanted = list
    .filter((resource) => watch.wildcard || watch.names.has(resource.name))
    .map((resource) => (isRejected(watch, resource) ? held(resource.name) : resource))
    .filter((resource) => resource !== undefined);
  return makeDraft([...wanted, ...kept].sort(byName));
}

/** Held clusters that went: part of the state until their grace is over. Only clusters retire, listeners drain by themselves. */
function retiringResources(stream: StreamState, watch: Watch): Resource[] {
  const map = mapOf(stream, watch.typeUrl);
  const kept: Resource[] = [];
  if (!stream.delta && routingTypes.includes(watch.typeUrl)) return kept;
  for (const resource of watch.held.list()) {
    const wanted = watch.wildcard || watch.names.has(resource.name);
    if (map.has(resource.name) || !wanted) {
      watch.retiring.delete(resource.name);
      continue;
    }
    const at = watch.retiring.get(resource.name) ?? Number.POSITIVE_INFINITY;
    if (at <= stream.now) watch.retiring.delete(resource.name);
    else {
      watch.retiring.set(resource.name, at);
      kept.push(resource);
    }
  }
  return kept;
}

/** The state as held, with some resources replaced. */
function override(watch: Watch, resources: readonly Resource[]): Resource[] {
  const names = new Set(resources.map((resource) => resource.name));
  const others = watch.held.list().filter((resource) => !names.has(resource.name));
  return [...others, ...resources].sort(byName);
}

function isHeld(watch: Watch, resources: readonly Resource[]): boolean {
  const held = watch.held.list();
  if (held.length !== resources.length) return false;
  return held.every((resource, i) => resource.version === resources[i]?.version);
}

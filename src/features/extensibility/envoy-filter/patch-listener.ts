import { clone, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '../../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import { type Listener, ListenerSchema } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { editList } from './edit-list.ts';
import {
  chainMatches,
  type ListenerTarget,
  listenerMatches,
  networkFilterMatches,
  networkFilterName,
} from './listener-match.ts';
import { mergeFilters } from './merge-filters.ts';
import { listenerFilterPlace, meansFilter, networkPlace } from './names.ts';
import { patchConnectionManager } from './patch-http.ts';
import { isMerge, mergeValue, ofSort, type PatchRun, valueCopy } from './patch-run.ts';

const connectionManager = 'envoy.filters.network.http_connection_manager';

/** A listener after its patches, changed in place; undefined: removed. */
export function patchListener(run: PatchRun, target: ListenerTarget): Listener | undefined {
  const { listener } = target;
  for (const patch of ofSort(run, 'LISTENER')) {
    if (!listenerMatches(patch, target)) continue;
    if (isMerge(patch.operation)) mergeValue(ListenerSchema, listener, patch);
    else if (patch.operation !== 'REMOVE') continue;
    run.applied.add(patch.id);
    if (patch.operation === 'REMOVE') return undefined;
  }
  patchListenerFilters(run, target);
  listener.filterChains = listener.filterChains.flatMap((chain) => patchChain(run, target, chain) ?? []);
  if (listener.defaultFilterChain) {
    const patched = patchChain(run, target, listener.defaultFilterChain);
    if (patched) listener.defaultFilterChain = patched;
    else delete listener.defaultFilterChain;
  }
  for (const patch of ofSort(run, 'FILTER_CHAIN')) {
    const chain =
      patch.operation === 'ADD' && listenerMatches(patch, target) && valueCopy(FilterChainSchema, patch);
    if (!chain) continue;
    listener.filterChains.push(chain);
    run.applied.add(patch.id);
  }
  return listener;
}

function patchListenerFilters(run: PatchRun, target: ListenerTarget): void {
  const { listener } = target;
  for (const patch of ofSort(run, 'LISTENER_FILTER')) {
    if (!listenerMatches(patch, target)) continue;
    const name = patch.match.listener?.listenerFilter || undefined;
    const matches =
      name === undefined ? undefined : (filter: { readonly name: string }) => meansFilter(name, filter.name);
    if (isMerge(patch.operation)) {
      if (mergeFilters(ListenerFilterSchema, listener.listenerFilters, patch, matches ?? (() => true)))
        run.applied.add(patch.id);
      continue;
    }
    const edited = editList(listener.listenerFilters, {
      operation: patch.operation,
      value: valueCopy(ListenerFilterSchema, patch),
      matches,
      absentPlace: () =>
        name === undefined ? undefined : listenerFilterPlace(name, listener.listenerFilters),
      end: (list) => list.length,
    });
    if (!edited) continue;
    listener.listenerFilters = edited;
    run.applied.add(patch.id);
  }
}

function patchChain(run: PatchRun, target: ListenerTarget, chain: FilterChain): FilterChain | undefined {
  for (const patch of ofSort(run, 'FILTER_CHAIN')) {
    if (!listenerMatches(patch, target) || !chainMatches(patch, target, chain)) continue;
    if (isMerge(patch.operation)) mergeValue(FilterChainSchema, chain, patch);
    else if (patch.operation !== 'REMOVE') continue;
    run.applied.add(patch.id);
    if (patch.operation === 'REMOVE') return undefined;
  }
  patchNetworkFilters(run, target, chain);
  chain.filters = chain.filters.map((filter) =>
    filter.name === connectionManager ? patchHttp(run, target, chain, filter) : filter,
  );
  return chain;
}

function patchNetworkFilters(run: PatchRun, target: ListenerTarget, chain: FilterChain): void {
  const patches = ofSort(run, 'NETWORK_FILTER').filter(
    (patch) => listenerMatches(patch, target) && chainMatches(patch, target, chain),
  );
  for (const patch of patches) {
    const name = networkFilterName(patch);
    const matches = name === undefined ? undefined : (filter: Filter) => meansFilter(name, filter.name);
    const edited = editList(chain.filters, {
      operation: patch.operation,
      value: valueCopy(FilterSchema, patch),
      matches,
      absentPlace: () => (name === undefined ? undefined : networkPlace(name, chain.filters)),
      // Nothing may follow the filter that takes the bytes away.
      end: (list) => Math.max(0, list.length - 1),
    });
    if (!edited) continue;
    chain.filters = edited;
    run.applied.add(patch.id);
  }
  for (const patch of patches)
    if (
      isMerge(patch.operation) &&
      mergeFilters(FilterSchema, chain.filters, patch, (filter) => networkFilterMatches(patch, filter.name))
    )
      run.applied.add(patch.id);
}

/** The connection manager in a filter, with what patches make of its filters and of routes that it holds itself. */
function patchHttp(run: PatchRun, target: ListenerTarget, chain: FilterChain, filter: Filter): Filter {
  if (filter.configType.case !== 'typedConfig') return filter;
  const patches = run.patches.filter(
    (patch) =>
      patch.applyTo !== 'HTTP_FILTER' ||
      (listenerMatches(patch, target) &&
        chainMatches(patch, target, chain) &&
        networkFilterMatches(patch, filter.name)),
  );
  const inner: PatchRun = { patches, applied: new Set() };
  const manager = fromBinary(HttpConnectionManagerSchema, filter.configType.value.value);
  patchConnectionManager(inner, target, manager);
  if (inner.applied.size === 0) return filter;
  for (const id of inner.applied) run.applied.add(id);
  filter.configType.value = {
    ...clone(AnySchema, filter.configType.value),
    value: toBinary(HttpConnectionManagerSchema, manager),
  };
  return filter;
}

import type {
  HttpConnectionManager,
  HttpFilter,
} from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { HttpFilterSchema } from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { editList } from './edit-list.ts';
import { contextMatches, httpFilterName, type ListenerTarget, listenerPort } from './listener-match.ts';
import { mergeFilters } from './merge-filters.ts';
import { httpPlace, meansFilter, placeBefore } from './names.ts';
import { patchRoutes, routesMatch } from './patch-routes.ts';
import { isMerge, ofSort, type PatchRun, valueCopy } from './patch-run.ts';
import type { FilterClass } from './schema.ts';

const noDomains: ReadonlySet<string> = new Set();

/** Changes a connection manager in place. HTTP_FILTER patches are known to concern it. */
export function patchConnectionManager(
  run: PatchRun,
  target: ListenerTarget,
  manager: HttpConnectionManager,
): void {
  patchHttpFilters(run, manager);
  if (manager.routeSpecifier.case !== 'routeConfig') return;
  const routes = manager.routeSpecifier.value;
  const facts = { name: routes.name, port: listenerPort(target), gateway: false };
  const inner: PatchRun = {
    patches: run.patches.filter(
      (patch) =>
        contextMatches(patch, target.known) &&
        routesMatch(patch, portOf(routes.name) ? { ...facts, port: portOf(routes.name) ?? 0 } : facts),
    ),
    applied: run.applied,
  };
  patchRoutes(inner, routes, () => noDomains);
}

/** Of `inbound|9080||` */
function portOf(name: string): number | undefined {
  const port = Number(name.split('|')[1]);
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

function patchHttpFilters(run: PatchRun, manager: HttpConnectionManager): void {
  const patches = ofSort(run, 'HTTP_FILTER');
  for (const patch of patches) {
    const filters = manager.httpFilters;
    const name = httpFilterName(patch);
    const edited = editList(filters, {
      operation: patch.operation,
      value: valueCopy(HttpFilterSchema, patch),
      matches: matcherOf(name),
      absentPlace: () => (name === undefined ? undefined : httpPlace(name, filters)),
      end: (list) => endOf(patch.filterClass, list),
    });
    if (!edited) continue;
    manager.httpFilters = edited;
    run.applied.add(patch.id);
  }
  for (const patch of patches) {
    const matches = matcherOf(httpFilterName(patch)) ?? (() => true);
    if (isMerge(patch.operation) && mergeFilters(HttpFilterSchema, manager.httpFilters, patch, matches))
      run.applied.add(patch.id);
  }
}

function matcherOf(name: string | undefined): ((filter: { readonly name: string }) => boolean) | undefined {
  return name === undefined ? undefined : (filter) => meansFilter(name, filter.name);
}

/** Where ADD puts a filter: after those that authenticate or authorize, or where statistics are taken, and never behind the router. */
function endOf(filterClass: FilterClass, filters: readonly HttpFilter[]): number {
  if (filterClass === 'AUTHN') return placeBefore('envoy.filters.http.rbac.custom', filters);
  if (filterClass === 'AUTHZ') return placeBefore('envoy.filters.http.fault', filters);
  return placeBefore('envoy.filters.http.router', filters);
}

import type { ResourceSource } from '../snapshot/push.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { XdsRequest } from './request.ts';
import { mapOf, type StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';

/*
 * Clients that load clusters (ODCDS) and virtual hosts (VHDS) when a request needs them ask by name: by a cluster's own, or by
 * `<route configuration>/<Host of the request>`.
 */
const onDemandTypes: readonly string[] = [typeUrls.cluster, typeUrls.virtualHost];

/**
 * A client that comes back holds what its application used. Resolves when that is known to be in use; else it would be taken from
 * the client as something that it should not hold. Undefined: there is nothing to wait for.
 */
export function recall(
  stream: StreamState,
  demand: ResourceSource['demand'],
  request: XdsRequest,
  methodType: string | undefined,
): Promise<unknown> | undefined {
  const typeUrl = methodType ?? request.typeUrl;
  const { names } = request.claims;
  if (!demand || !stream.delta || names.length === 0 || !onDemandTypes.includes(typeUrl)) return undefined;
  if (stream.watches.get(typeUrl)?.started) return undefined;
  const map = mapOf(stream, typeUrl);
  const unknown = names.filter((name) => !map.has(name));
  return unknown.length === 0 ? undefined : demand(stream.proxyId, typeUrl, unknown);
}

/**
 * Passes on names that the client asks for and its proxy does not have. `rest` is the request without them, `found` settles when they
 * can be answered.
 */
export function askOnDemand(
  stream: StreamState,
  watch: Watch,
  demand: ResourceSource['demand'],
  request: XdsRequest,
): { readonly rest: XdsRequest; readonly found: Promise<unknown> | undefined } {
  const { typeUrl } = watch;
  const nothing = { rest: request, found: undefined };
  if (!demand || request.subscribe.length === 0 || !onDemandTypes.includes(typeUrl)) return nothing;
  const map = mapOf(stream, typeUrl);
  const names = request.subscribe.filter((name) => name !== '*' && !map.has(name));
  const found = names.length === 0 ? undefined : demand(stream.proxyId, typeUrl, names);
  if (!found) return nothing;
  const answer = (resources: ReadonlyMap<string, string>): void => {
    for (const name of names)
      if (typeUrl === typeUrls.virtualHost) watch.asked.set(name, resources.get(name) ?? '');
      else {
        watch.names.add(name);
        watch.forced.add(name);
      }
  };
  const asked = new Set(names);
  return {
    rest: { ...request, subscribe: request.subscribe.filter((name) => !asked.has(name)) },
    // What cannot be found out is answered as unknown: the request that waits must end.
    found: found.then(answer, () => answer(new Map())),
  };
}

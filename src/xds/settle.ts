import { typeUrls } from '../snapshot/resource.ts';
import { reject } from './rejection.ts';
import { mapOf, type StreamState } from './stream-state.ts';
import type { InFlight, RejectedResource, Watch } from './watch.ts';
import { isFullState } from './xds-type.ts';

/** The client took a response. Returns the names of resources that it had refused and that are well now. */
export function acknowledge(stream: StreamState, watch: Watch, flight: InFlight): string[] {
  if (!stream.delta && isFullState(watch.typeUrl)) watch.held.reset(flight.resources);
  else watch.held.apply(flight.resources, flight.removed);
  watch.lastAcknowledged = { nonce: flight.nonce, revision: flight.sentRevision, at: Date.now() };
  return watch.rejected.size === 0 ? [] : recover(stream, watch, flight);
}

function recover(stream: StreamState, watch: Watch, flight: InFlight): string[] {
  const map = mapOf(stream, watch.typeUrl);
  const taken = new Map(flight.resources.map((resource) => [resource.name, resource]));
  const recovered: string[] = [];
  for (const [name, rejected] of watch.rejected) {
    const resource = taken.get(name);
    const isNewer =
      resource !== undefined &&
      (resource.version !== rejected.version || watch.retried.has(name)) &&
      resource.version === map.get(name)?.version &&
      !flight.trial?.restore.includes(resource);
    if (map.has(name) && !isNewer) continue;
    watch.rejected.delete(name);
    watch.retried.delete(name);
    recovered.push(name);
  }
  return recovered;
}

/** The client refused a response: what is sent again and what is kept back is noted in the watch. */
export function rejectFlight(
  stream: StreamState,
  watch: Watch,
  flight: InFlight,
  message: string,
): RejectedResource[] {
  const whole = !stream.delta && isFullState(watch.typeUrl);
  const rejected = reject(watch, flight, message, Date.now(), whole);
  if (whole) watch.everything = true;
  if (watch.typeUrl === typeUrls.route)
    for (const resource of flight.resources)
      if (!watch.held.get(resource.name)) {
        stream.routeConfigs.delete(resource.name);
        stream.freshRouteConfigs.delete(resource.name);
      }
  return rejected;
}

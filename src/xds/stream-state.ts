import type { ResourceList } from './held.ts';
import type { ResourceMap, Views } from './views.ts';
import type { Watch } from './watch.ts';

/** What the choice of the next response needs to know of a stream. */
export interface StreamState {
  readonly proxyId: string;
  readonly delta: boolean;
  readonly watches: ReadonlyMap<string, Watch>;
  readonly views: Views;
  /** Route configurations that the client holds: only their virtual hosts can be sent. */
  readonly routeConfigs: Set<string>;
  /** Of those, the ones whose hosts must all be sent, whatever the client claims to hold. */
  readonly freshRouteConfigs: Set<string>;
  /** ms, monotonic. */
  readonly now: number;
  /** How long routes wait for a cluster's acknowledgement, ms. */
  readonly warmingMs: number;
}

export function mapOf(stream: StreamState, typeUrl: string): ResourceMap {
  return stream.views.map(stream.proxyId, typeUrl);
}

export function listOf(stream: StreamState, typeUrl: string): ResourceList {
  return stream.views.list(mapOf(stream, typeUrl));
}

import type { Route } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { type Origin, originId } from '../config/origin.ts';
import { foundRoute } from '../explain/found-route.ts';
import type { Leaf } from '../explain/leaf.ts';
import { round } from '../explain/words.ts';
import type { Model } from '../model/model.ts';
import { normalizedPath } from '../simulate/rewrite.ts';
import type { Journey, Passed } from './journey.ts';
import { routeTraits } from './route-traits.ts';
import { workloadName } from './workload-name.ts';

/** One of the ends that a request comes to. */
export interface OutcomeEnd {
  readonly outcome: Leaf['end']['outcome'];
  /** HTTP status, where a proxy decides it. */
  readonly status?: number;
  readonly grpcStatus?: number;
  /** Beside `grpcStatus`: the status that other clients get. */
  readonly httpStatus?: number;
  /** `name.namespace` of what gets it (all replicas alike), or the address outside. */
  readonly destination?: string;
  /** Share of the requests, percent. */
  readonly percent: number;
  readonly reason: string;
  /** It is delivered where no workload of the mesh is. */
  readonly leavesMesh?: true;
  /** Id of the origin that decided a refusal, an answer or a failure. */
  readonly by?: string;
}

/** A request as a destination gets it; what is absent is as it was sent. */
export interface Arrival {
  readonly authority?: string;
  readonly path?: string;
  /** Headers that were set or changed; '' where one was removed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What becomes of a request, as far as its sender or its receiver could tell. */
export interface RequestOutcome {
  readonly ends: readonly OutcomeEnd[];
  /** Clusters that the first proxy hands over to, with their weights. */
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  /** Where a redirect leads. */
  readonly redirect?: string;
  /** How destinations get it. */
  readonly arrivals: readonly Arrival[];
  /** Timeout, retries, mirrors, faults and the like of the routes that were taken, and filters that do nobody knows what. */
  readonly traits: Readonly<Record<string, string>>;
  /** The objects that decided, in order: virtual host, route, policy. Ids of origins. */
  readonly deciders: readonly string[];
  /**
   * Port that decides: the one that the sender wrote; where the first proxy is the server's, or the gateway of a client outside, the one
   * that is called there. Absent: no proxy has a say, or the first one takes all ports alike.
   */
  readonly port?: number;
  /** Virtual host that took it at the first proxy. */
  readonly virtualHost?: string;
}

export function outcomeOf(model: Model, { port, passed, leaves }: Journey): RequestOutcome {
  const [first] = passed;
  const decidingPort = portOf(first, port);
  const redirect = first?.result.redirect?.location;
  const traits: Record<string, string> = {};
  const unforeseen = [...new Set(passed.flatMap(({ result }) => result.unforeseen ?? []))];
  if (unforeseen.length > 0) traits['unforeseen filter'] = unforeseen.sort().join(', ');
  for (const one of passed) {
    if (one.hop.role !== 'server') Object.assign(traits, traitsAt(one));
    for (const [what, words] of asksAt(one)) traits[what] = words;
  }
  return {
    ends: endsOf(model, leaves),
    clusters: clustersOf(first),
    ...(redirect === undefined ? {} : { redirect }),
    arrivals: arrivalsOf(passed),
    traits,
    deciders: decidersOf(passed, leaves),
    ...(decidingPort === undefined ? {} : { port: decidingPort }),
    ...(first?.result.virtualHost === undefined ? {} : { virtualHost: first.result.virtualHost }),
  };
}

function portOf(first: Passed | undefined, written: number | undefined): number | undefined {
  const listenerName = first?.result.listener;
  if (!first || listenerName === undefined || listenerName === 'virtualOutbound') return undefined;
  const { hop, resources, result } = first;
  if (hop.role !== 'server') return written ?? hop.call.port;
  if (listenerName !== 'virtualInbound') return hop.call.port;
  const listener = resources.listeners().find(({ name }) => name === listenerName);
  const chain = listener?.filterChains.find(({ name }) => name === result.filterChain);
  return chain?.filterChainMatch?.destinationPort === undefined ? undefined : hop.call.port;
}

function clustersOf(first: Passed | undefined): RequestOutcome['clusters'] {
  const { cluster, weightedClusters } = first?.hop.role === 'server' ? {} : (first?.result ?? {});
  const positive = (weightedClusters ?? []).filter(({ weight }) => weight > 0);
  if (positive.length > 1) return positive;
  return cluster === undefined ? [] : [{ cluster, weight: 100 }];
}

function endsOf(model: Model, leaves: readonly Leaf[]): OutcomeEnd[] {
  const byKey = new Map<string, OutcomeEnd>();
  for (const leaf of leaves) {
    const { end, percent } = leaf;
    const destination = destinationOf(model, leaf);
    const by = end.by ? originId(end.by) : undefined;
    const key = [end.outcome, end.status, end.grpcStatus, destination, by, end.reason].join(' ');
    const before = byKey.get(key);
    byKey.set(key, {
      outcome: end.outcome,
      ...(end.status === undefined ? {} : { status: end.status }),
      ...(end.grpcStatus === undefined ? {} : { grpcStatus: end.grpcStatus }),
      ...(end.httpStatus === undefined ? {} : { httpStatus: end.httpStatus }),
      ...(destination === undefined ? {} : { destination }),
      percent: percent + (before?.percent ?? 0),
      reason: end.reason,
      ...(end.leavesMesh ? { leavesMesh: true } : {}),
      ...(by === undefined ? {} : { by }),
    });
  }
  return [...byKey.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, end]) => ({ ...end, percent: round(end.percent) }));
}

function destinationOf(model: Model, { workload, address, cluster }: Leaf): string | undefined {
  if (workload === undefined) return address ?? (cluster === '' ? undefined : cluster);
  const found = model.workloads.get(workload)?.workload;
  return found ? workloadName(found) : workload;
}

/** How destinations get the request: each way that differs. */
function arrivalsOf(passed: readonly Passed[]): Arrival[] {
  const [first] = passed;
  const sent = first?.hop.call;
  const found = new Map<string, Arrival>();
  for (const { hop, result } of passed) {
    const { forwarded } = result;
    if (!forwarded || !sent || hop.role === 'server') continue;
    const arrival: Arrival = {
      ...(forwarded.authority === sent.host ? {} : { authority: forwarded.authority }),
      ...(isSamePath(sent.path ?? '/', forwarded.path) ? {} : { path: forwarded.path }),
      headers: changedHeaders(sent.headers ?? {}, forwarded.headers),
    };
    found.set(JSON.stringify(arrival), arrival);
  }
  return [...found.values()];
}

/** What every proxy does to `.` and `..` on the way changes nothing for whoever gets it. */
function isSamePath(sent: string, forwarded: string): boolean {
  return forwarded === sent || (sent.includes('/.') && forwarded === normalizedPath(sent));
}

function changedHeaders(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): Record<string, string> {
  const changed: Record<string, string> = {};
  for (const [name, value] of Object.entries(after)) if (before[name] !== value) changed[name] = value;
  for (const name of Object.keys(before)) if (!(name in after)) changed[name] = '';
  return changed;
}

function traitsAt(passed: Passed): Readonly<Record<string, string>> {
  const route = routeAt(passed);
  const { fault } = passed.result;
  return {
    ...(route ? routeTraits(route) : {}),
    ...(fault ? { fault: JSON.stringify(fault) } : {}),
  };
}

/** What is left to others, or to what was before. */
function asksAt({ result }: Passed): [what: string, words: string][] {
  return result.steps.flatMap(({ stage, decision }): [string, string][] => {
    if (stage === 'rate-limit') return [['rate limit', decision?.why ?? '']];
    if (stage === 'authorization' && decision?.verdict === 'asks')
      return [['external authorization', decision.why ?? '']];
    return [];
  });
}

export function routeAt({ resources, result }: Passed): Route | undefined {
  return result.route === undefined ? undefined : foundRoute(resources, result).route;
}

const deciding: ReadonlySet<string> = new Set([
  'virtual-host',
  'route',
  'authorization',
  'authentication',
  'fault',
  'cors',
]);

function decidersOf(passed: readonly Passed[], leaves: readonly Leaf[]): string[] {
  const ids = new Set<string>();
  const note = (origin: Origin | undefined): void => {
    if (origin) ids.add(originId(origin));
  };
  for (const { result } of passed)
    for (const { stage, origin, decision } of result.steps)
      if (deciding.has(stage) && decision?.verdict !== 'observed') note(origin);
  for (const { end } of leaves) note(end.by);
  return [...ids];
}

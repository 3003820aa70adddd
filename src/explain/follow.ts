import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { Model } from '../model/model.ts';
import { blackHoleCluster } from '../plan/names.ts';
import type { Call, SimulationOptions, SimulationResult } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { asLazy } from '../simulate/lazy-host.ts';
import { simulate } from '../simulate/simulate.ts';
import { serverCall, statusOfPlaintext, type UpstreamConnection, upstream } from '../simulate/upstream.ts';
import { answered } from '../simulate/walk.ts';
import { connectionDecision, connectionTrouble } from './connection.ts';
import { type DestinationGroup, destinationsDecision, destinationsOf, groupsOf } from './destinations.ts';
import type { Decision, DecisionPlace } from './explanation.ts';
import { flag } from './flags.ts';
import { type Hop, identityOf } from './hop.ts';
import { loadsOnDemand } from './lazy-decision.ts';
import { type End, type Leaf, sameEnd } from './leaf.ts';
import { localEnd } from './local-end.ts';
import { clusterWords } from './route-decisions.ts';
import { stepDecisions } from './step-decisions.ts';

/** Proxies on one way, at most: client, egress gateway, server, and some to spare. */
const mostHops = 6;
/** Destinations of a split whose decisions are told one by one. */
const mostBranches = 3;

/** What all steps of one question share. */
export interface Following {
  readonly model: Model;
  readonly options: SimulationOptions;
  /** Proven by the first proxy instead of its own. */
  readonly identity?: string;
  readonly decisions: Decision[];
  readonly assumed: Set<string>;
  /** Told of every proxy that the call passes, once for each destination that is looked into. */
  readonly seen?: (hop: Hop, resources: DecodedResources, result: SimulationResult) => void;
}

/** A call at a proxy that passed it. */
interface Passed {
  readonly hop: Hop;
  readonly resources: DecodedResources;
  readonly result: SimulationResult;
  readonly depth: number;
  /** Its decisions are told. */
  readonly told: boolean;
}

/** Follows a call through a proxy and those behind it; decisions are told where `told` is set. */
export function follow(following: Following, asked: Hop, depth: number, told: boolean): Leaf[] {
  const { model } = following;
  const resources = model.resources(asked.proxy);
  const { hop, result } = arrive(following, asked, resources);
  for (const what of result.assumed ?? []) following.assumed.add(what);
  following.seen?.(hop, resources, result);
  if (told)
    following.decisions.push(
      ...stepDecisions(hop, { model, at: placeOf(hop), resources, call: hop.call, result }),
    );
  // What one destination of a split lacks says nothing of the others.
  const end = splitOf(hop, result).length < 2 && localEnd(model, hop, resources, result);
  if (end) return [{ percent: 100, cluster: result.cluster ?? '', workload: hop.at.key, end }];
  const passed: Passed = { hop, resources, result, depth, told };
  return hop.role === 'server' ? [delivered(following, passed)] : branches(following, passed);
}

/** A client outside shows its certificate to a gateway that asks for one; to others it is a client without. */
function arrive(
  { model, options, assumed }: Following,
  hop: Hop,
  resources: DecodedResources,
): { readonly hop: Hop; readonly result: SimulationResult } {
  const whole = simulate(resources, hop.call, options);
  const result = loadsOnDemand(model, hop) ? asLazy(whole, hop.call) : whole;
  if (result.error !== 'invalid mTLS' || hop.call.tls !== 'mtls' || hop.role !== 'gateway')
    return { hop, result };
  const { identity, ...rest } = hop.call;
  const without: Hop = { ...hop, call: { ...rest, tls: 'tls' } };
  const second = simulate(resources, without.call, options);
  if (second.error === 'invalid mTLS') return { hop, result };
  assumed.add(`the gateway asks for no certificate: nobody sees that the client is ${identity}`);
  return { hop: without, result: second };
}

function placeOf({ at, role }: Hop): DecisionPlace {
  return { workload: at.key, role };
}

function delivered({ decisions }: Following, { hop, result, told }: Passed): Leaf {
  const cluster = result.cluster ?? '';
  const { workload } = hop.at;
  const port = Number(/^inbound\|(\d+)\|/.exec(cluster)?.[1] ?? hop.call.port);
  const what = `the application of ${workload.controller ?? workload.name} gets it on port ${port}`;
  if (told) decisions.push({ at: placeOf(hop), stage: 'application', what, lost: [] });
  const end: End = { outcome: 'delivered', reason: 'the application answers', flags: [] };
  return { percent: 100, cluster, workload: hop.at.key, end };
}

/** The destinations that are chosen from at random: those of positive weight, unless one is asked about. */
function splitOf(
  { call }: Hop,
  { weightedClusters = [] }: SimulationResult,
): NonNullable<SimulationResult['weightedClusters']> {
  return call.destination === undefined ? weightedClusters.filter(({ weight }) => weight > 0) : [];
}

/** Each destination of positive weight, or the one that was asked about. */
function branches(following: Following, passed: Passed): Leaf[] {
  const { hop, result, resources, told } = passed;
  const weighted = splitOf(hop, result);
  if (weighted.length < 2) return toCluster(following, passed);
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  return weighted.flatMap(({ weight }, destination) => {
    const branch: Hop = { ...hop, call: { ...hop.call, destination } };
    const own = destination === 0 ? result : simulate(resources, branch.call, following.options);
    if (destination > 0) following.seen?.(branch, resources, own);
    const end = localEnd(following.model, branch, resources, own);
    const leaves = end
      ? [{ percent: 100, cluster: own.cluster ?? '', workload: hop.at.key, end }]
      : toCluster(following, {
          ...passed,
          hop: branch,
          result: own,
          told: told && destination < mostBranches,
        });
    return leaves.map((leaf) => ({ ...leaf, percent: (leaf.percent * weight) / total }));
  });
}

function toCluster(following: Following, passed: Passed): Leaf[] {
  const { model, decisions } = following;
  const { hop, resources, result, told } = passed;
  const name = result.cluster ?? '';
  const cluster = resources.cluster(name);
  if (name === blackHoleCluster || !cluster) return [{ percent: 100, cluster: name, end: nowhere(name) }];
  const destinations = destinationsOf(resources, cluster, hop.call);
  if (told) decisions.push(destinationsDecision(model, placeOf(hop), cluster, destinations));
  const groups = groupsOf(model, destinations);
  if (groups.length === 0) {
    const end: End = { outcome: 'fails', reason: 'the destination has no endpoint', flags: [flag('UH')] };
    return [
      destinations.found === 'listed' ? { percent: 100, cluster: name, end } : outside(name, hop.call.host),
    ];
  }
  let first: End | undefined;
  return groups.flatMap((group) => {
    const leaves = toEndpoint(following, passed, cluster, group, first);
    first ??= leaves[0]?.end;
    return leaves.map((leaf) => ({ ...leaf, percent: leaf.percent * group.share }));
  });
}

function nowhere(name: string): End {
  if (name !== blackHoleCluster)
    return { outcome: 'fails', reason: `${clusterWords(name)} does not exist`, flags: [flag('NC')] };
  return {
    outcome: 'fails',
    reason: 'nothing of the mesh is there, and unknown destinations are blocked',
    flags: [
      flag('UH', 'define the destination in a ServiceEntry, or set outboundTrafficPolicy to ALLOW_ANY'),
    ],
  };
}

export function outside(cluster: string, address?: string): Leaf {
  const end: End = { outcome: 'delivered', reason: 'it leaves the mesh', flags: [], leavesMesh: true };
  return { percent: 100, cluster, ...(address === undefined ? {} : { address }), end };
}

function toEndpoint(
  following: Following,
  passed: Passed,
  cluster: Cluster,
  { socket, workload }: DestinationGroup,
  first: End | undefined,
): Leaf[] {
  const { model, decisions } = following;
  const { hop, resources, result, depth, told } = passed;
  const connection = upstream(resources, hop.call, result, socket);
  if (!connection) return [outside(cluster.name, socket)];
  const identity =
    hop.role === 'client' && following.identity !== undefined
      ? following.identity
      : identityOf(model.mesh.trustDomain, hop.at);
  if (told && !first)
    decisions.push(connectionDecision(model, hop, placeOf(hop), cluster, connection, identity, workload));
  if (!workload) return [outside(cluster.name, socket)];
  const reached = { percent: 100, cluster: cluster.name, address: socket, workload: workload.key };
  const heard = result.routeConfig === undefined ? undefined : hop.call;
  const trouble =
    connectionTrouble(model, connection, workload, heard) ?? (depth >= mostHops ? circle : undefined);
  if (trouble) return [{ ...reached, end: trouble }];
  const { proxy } = workload;
  if (!proxy)
    return [{ ...reached, end: { outcome: 'delivered', reason: 'the application answers', flags: [] } }];
  const next: Hop = {
    at: workload,
    proxy,
    role: proxy.type === 'router' ? 'gateway' : 'server',
    call: callBehind(
      hop,
      result,
      connection,
      socket,
      identity,
      proxy.type === 'router' || proxy.capture === 'explicit',
    ),
  };
  const before = decisions.length;
  const leaves = follow(following, next, depth + 1, told);
  // Others that end as the first does need no second telling.
  if (first && leaves.every(({ end }) => sameEnd(end, first))) decisions.length = before;
  return leaves.map((leaf) =>
    throughClient({ ...leaf, chosen: cluster.name, address: leaf.address ?? socket }, heard, connection),
  );
}

const circle: End = { outcome: 'fails', reason: 'it goes round in circles between proxies', flags: [] };

function callBehind(
  { call, at }: Hop,
  result: SimulationResult,
  connection: UpstreamConnection,
  socket: string,
  identity: string,
  direct: boolean,
): Call {
  const sourceAddress = at.workload.addresses[0] ?? '';
  return serverCall(
    call,
    result,
    connection,
    socket,
    { identity, sourceAddress },
    direct ? 'direct' : 'inbound',
  );
}

/** What the client's proxy makes of a connection that the server's refuses. */
function throughClient(leaf: Leaf, call: Call | undefined, connection: UpstreamConnection): Leaf {
  const { end } = leaf;
  const broken = end.status === undefined ? end.flags.find(({ code }) => code === 'UC') : undefined;
  // Nobody answers a connection in which the client's proxy sees no HTTP.
  if (!broken || !call) return leaf;
  const status = end.awaitsTls ? statusOfPlaintext(connection, call) : 503;
  // A handshake that fails is a connection that never was.
  const isFailure = end.outcome === 'denied' && connection.tls !== 'plaintext';
  const code = status === 502 ? 'UPE' : isFailure ? 'UF' : 'UC';
  return { ...leaf, end: { ...end, ...answered(call, status), flags: [flag(code, broken.mend)] } };
}

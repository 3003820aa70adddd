import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { compareText } from '../kit/maps.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { blackHoleCluster } from '../plan/names.ts';
import type { Call, SimulationOptions, SimulationResult } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { simulate } from '../simulate/simulate.ts';
import { type Candidate, type EndpointChoice, endpointChoice } from './endpoint-choice.ts';
import type { Decision, DecisionPlace } from './explanation.ts';
import { flag } from './flags.ts';
import { type Hop, identityOf, splitSocket } from './hop.ts';
import type { Leaf } from './leaf.ts';
import { localEnd } from './local-end.ts';
import { clusterWords, count } from './route-decisions.ts';
import { stepDecisions } from './step-decisions.ts';
import { tlsTo, type UpstreamTls } from './tls-to.ts';
import { decidedBy, listed, originIn, round } from './words.ts';

/** Proxies on one way, at most: client, egress gateway, server, and some to spare. */
const mostHops = 6;
/** Different workloads of a cluster that are followed to their ends. */
const mostWorkloads = 8;
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

/** Follows a call through a proxy and those behind it; decisions are told where `told` is set. */
export function follow(following: Following, hop: Hop, depth: number, told: boolean): Leaf[] {
  const { model, options } = following;
  const resources = model.resources(hop.proxy);
  const result = simulate(resources, hop.call, options);
  for (const what of result.assumed ?? []) following.assumed.add(what);
  following.seen?.(hop, resources, result);
  const at: DecisionPlace = { workload: hop.at.key, role: hop.role };
  if (told) following.decisions.push(...stepDecisions(hop, { model, at, resources, call: hop.call, result }));
  const end = localEnd(model, hop, result);
  if (end) return [{ percent: 100, cluster: result.cluster ?? '', workload: hop.at.key, end }];
  if (hop.role === 'server') return [delivered(following, hop, result, told)];
  return branches(following, hop, resources, result, depth, told);
}

function delivered({ decisions }: Following, hop: Hop, result: SimulationResult, told: boolean): Leaf {
  const cluster = result.cluster ?? '';
  const { workload } = hop.at;
  const what = `the application of ${workload.controller ?? workload.name} gets it on port ${applicationPort(cluster, hop.call)}`;
  if (told)
    decisions.push({ at: { workload: hop.at.key, role: 'server' }, stage: 'application', what, lost: [] });
  return {
    percent: 100,
    cluster,
    workload: hop.at.key,
    end: { outcome: 'delivered', reason: 'the application answers', flags: [] },
  };
}

function applicationPort(cluster: string, { port }: Call): number {
  return Number(/^inbound\|(\d+)\|/.exec(cluster)?.[1] ?? port);
}

/** Each destination of positive weight, or the one that was asked about. */
function branches(
  following: Following,
  hop: Hop,
  resources: DecodedResources,
  result: SimulationResult,
  depth: number,
  told: boolean,
): Leaf[] {
  const weighted = (result.weightedClusters ?? []).filter(({ weight }) => weight > 0);
  if (weighted.length < 2 || hop.call.destination !== undefined)
    return toCluster(following, hop, resources, result, depth, told);
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  return weighted.flatMap(({ weight }, destination) => {
    const call = { ...hop.call, destination };
    const own = destination === 0 ? result : simulate(resources, call, following.options);
    if (destination > 0) following.seen?.({ ...hop, call }, resources, own);
    const end = localEnd(following.model, hop, own);
    const leaves: Leaf[] = end
      ? [{ percent: 100, cluster: own.cluster ?? '', end }]
      : toCluster(following, { ...hop, call }, resources, own, depth, told && destination < mostBranches);
    return leaves.map((leaf) => ({ ...leaf, percent: (leaf.percent * weight) / total }));
  });
}

function toCluster(
  following: Following,
  hop: Hop,
  resources: DecodedResources,
  result: SimulationResult,
  depth: number,
  told: boolean,
): Leaf[] {
  const { model, decisions } = following;
  const name = result.cluster ?? '';
  const cluster = resources.cluster(name);
  const at: DecisionPlace = { workload: hop.at.key, role: hop.role };
  if (name === blackHoleCluster || !cluster)
    return [{ percent: 100, cluster: name, end: nowhere(name, cluster) }];
  const choice = endpointChoice(resources, cluster, hop.call);
  if (told) decisions.push(endpointDecision(model, at, cluster, choice));
  if (choice.candidates.length === 0 && choice.found === 'listed')
    return [
      {
        percent: 100,
        cluster: name,
        end: { outcome: 'fails', reason: 'the destination has no endpoint', flags: [flag('UH')] },
      },
    ];
  if (choice.candidates.length === 0) return [outside(name, undefined)];
  return perWorkload(following, choice).flatMap((group, index) => {
    const leaves = toEndpoint(following, hop, cluster, result, group, depth, told, index);
    return leaves.map((leaf) => ({ ...leaf, percent: (leaf.percent * group.share) / 1 }));
  });
}

function nowhere(name: string, cluster: Cluster | undefined): Leaf['end'] {
  const blocked = cluster !== undefined || name === blackHoleCluster;
  return {
    outcome: 'fails',
    reason: blocked
      ? 'nothing of the mesh is there, and unknown destinations are blocked'
      : `${clusterWords(name)} does not exist`,
    flags: [
      blocked
        ? flag('UH', 'define the destination in a ServiceEntry, or set outboundTrafficPolicy to ALLOW_ANY')
        : flag('NC'),
    ],
  };
}

function outside(cluster: string, address: string | undefined): Leaf {
  return {
    percent: 100,
    cluster,
    ...(address === undefined ? {} : { address }),
    end: { outcome: 'delivered', reason: 'it leaves the mesh', flags: [] },
  };
}

/** Endpoints that are copies of one thing. */
interface Group {
  readonly members: readonly Candidate[];
  readonly workload?: ModelWorkload;
  readonly share: number;
}

function perWorkload({ model }: Following, { candidates }: EndpointChoice): Group[] {
  const groups = new Map<string, { members: Candidate[]; workload?: ModelWorkload }>();
  const sorted = [...candidates].sort((a, b) => compareText(nameAt(model, a), nameAt(model, b)));
  for (const candidate of sorted) {
    const workload = workloadAt(model, candidate.socket);
    const key = workload
      ? `${workload.workload.namespace}/${workload.workload.controller ?? workload.workload.name}`
      : candidate.socket;
    const group = groups.get(key);
    if (group) group.members.push(candidate);
    else groups.set(key, { members: [candidate], ...(workload ? { workload } : {}) });
  }
  const all = [...groups.values()];
  const kept = all.slice(0, mostWorkloads);
  const share = (members: readonly Candidate[]) => members.reduce((sum, one) => sum + one.share, 0);
  const total = kept.reduce((sum, { members }) => sum + share(members), 0);
  return kept.map((group) => ({ ...group, share: share(group.members) / total }));
}

function nameAt(model: Model, { socket }: Candidate): string {
  return workloadAt(model, socket)?.key ?? socket;
}

/** The workload behind an endpoint. In explicit capture all share one address: the port tells. */
export function workloadAt(model: Model, socket: string): ModelWorkload | undefined {
  const index = workloadIndex(model);
  return index.get(socket) ?? index.get(splitSocket(socket).address);
}

const indexes = new WeakMap<Model, ReadonlyMap<string, ModelWorkload>>();

function workloadIndex(model: Model): ReadonlyMap<string, ModelWorkload> {
  let index = indexes.get(model);
  if (!index) {
    const made = new Map<string, ModelWorkload>();
    for (const one of model.workloads.values()) {
      const { explicit } = one.proxy ?? {};
      for (const address of one.workload.addresses) {
        if (!explicit) made.set(address, one);
        const ports = [
          ...(explicit?.inbound ?? []).map(({ listen }) => listen),
          ...Object.values(explicit?.gateway ?? {}),
        ];
        for (const port of ports) made.set(`${address}:${port}`, one);
      }
    }
    index = made;
    indexes.set(model, index);
  }
  return index;
}

function toEndpoint(
  following: Following,
  hop: Hop,
  cluster: Cluster,
  result: SimulationResult,
  group: Group,
  depth: number,
  told: boolean,
  index: number,
): Leaf[] {
  const { model, decisions } = following;
  const [candidate] = group.members;
  if (!candidate) return [];
  const { socket } = candidate;
  const { workload } = group;
  const tls = tlsTo(cluster, candidate.endpoint);
  const at: DecisionPlace = { workload: hop.at.key, role: hop.role };
  if (told && index === 0) decisions.push(tlsDecision(following, hop, at, cluster, tls, workload));
  const leaf = { percent: 100, cluster: cluster.name, address: socket };
  if (!workload) return [outside(cluster.name, socket)];
  const reached = { ...leaf, workload: workload.key };
  const trouble = tlsTrouble(model, tls, workload, depth);
  if (trouble) return [{ ...reached, end: trouble }];
  if (!workload.proxy)
    return [{ ...reached, end: { outcome: 'delivered', reason: 'the application answers', flags: [] } }];
  const next = nextHop(following, hop, tls, result, cluster, { ...workload, proxy: workload.proxy }, socket);
  const before = decisions.length;
  const ends = follow(following, next, depth + 1, told);
  // Copies and other versions that end alike need no second telling.
  const first = ends[0];
  if (index > 0 && first?.end.outcome === 'delivered') decisions.length = before;
  return ends.map((one) => throughClient({ ...one, address: one.address ?? socket }, tls));
}

/** What the client's proxy makes of a connection that the server's refuses. */
function throughClient(leaf: Leaf, tls: UpstreamTls): Leaf {
  const { end } = leaf;
  const broken = end.status === undefined && end.flags.some(({ code }) => code === 'UC');
  if (!broken) return leaf;
  return { ...leaf, end: { ...end, status: 503, flags: [flag(tls.mode === 'plaintext' ? 'UC' : 'UF')] } };
}

function tlsTrouble(
  { mesh }: Model,
  tls: UpstreamTls,
  workload: ModelWorkload,
  depth: number,
): Leaf['end'] | undefined {
  if (depth >= mostHops)
    return { outcome: 'fails', reason: 'it goes round in circles between proxies', flags: [] };
  if (tls.mode === 'plaintext') return undefined;
  const name = workload.workload.controller ?? workload.workload.name;
  if (!workload.proxy && tls.meshCertificate)
    return {
      outcome: 'fails',
      status: 503,
      reason: `the client speaks mutual TLS, and ${name} has no sidecar that understands it`,
      flags: [flag('UF', `give ${name} a sidecar, or let the DestinationRule use tls mode DISABLE for it`)],
    };
  if (!workload.proxy || tls.expects.length === 0 || !tls.meshCertificate) return undefined;
  const identity = identityOf(mesh.trustDomain, workload);
  if (tls.expects.includes(identity)) return undefined;
  return {
    outcome: 'fails',
    status: 503,
    reason: `${name} proves to be ${identity}, and the client expects ${listed(tls.expects)}`,
    flags: [
      flag('UF', 'let subjectAltNames of the DestinationRule or ServiceEntry name the service account'),
    ],
  };
}

function nextHop(
  { model, identity }: Following,
  hop: Hop,
  tls: UpstreamTls,
  { forwarded }: SimulationResult,
  cluster: Cluster,
  at: ModelWorkload & Pick<Hop, 'proxy'>,
  socket: string,
): Hop {
  const { address, port } = splitSocket(socket);
  const role = at.proxy.type === 'router' ? 'gateway' : 'server';
  const http2 =
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions' in cluster.typedExtensionProtocolOptions;
  const http = hop.call.protocol !== 'tcp' && forwarded !== undefined;
  const own =
    hop.role === 'client' && identity !== undefined ? identity : identityOf(model.mesh.trustDomain, hop.at);
  // What was not looked into goes on as it came.
  const wrapped = tls.mode === 'plaintext' && !http && hop.call.tls !== 'plaintext';
  const { alpn, sni, ...rest } = hop.call;
  const call: Call = {
    ...rest,
    address,
    port,
    mode: at.proxy.explicit || role === 'gateway' ? 'direct' : 'inbound',
    protocol: http ? (http2 && tls.mode === 'mtls' ? 'http2' : hop.call.protocol) : 'tcp',
    tls: wrapped ? hop.call.tls : tls.mode,
    sourceAddress: hop.at.workload.addresses[0] ?? '',
    ...(tls.mode === 'plaintext'
      ? wrapped
        ? { ...(sni === undefined ? {} : { sni }), ...(alpn === undefined ? {} : { alpn }) }
        : {}
      : { ...(tls.sni === undefined ? {} : { sni: tls.sni }), alpn: tls.alpn }),
    ...(forwarded ? { host: forwarded.authority, path: forwarded.path, headers: forwarded.headers } : {}),
  };
  delete call.destination;
  delete call.identity;
  if (tls.mode === 'mtls' && tls.meshCertificate) call.identity = own;
  return { at, proxy: at.proxy, role, call };
}

function endpointDecision(
  model: Model,
  at: DecisionPlace,
  cluster: Cluster,
  choice: EndpointChoice,
): Decision {
  const { candidates, passedOver, found } = choice;
  const origin = originIn(cluster.metadata);
  const names = [...new Set(candidates.map((one) => candidateWords(model, one)))];
  const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  const what =
    found === 'original'
      ? `it goes where it was going: ${candidates[0]?.socket}`
      : candidates.length === 0
        ? found === 'named'
          ? 'the proxy looks the destination up by its name'
          : `${clusterWords(cluster.name)} has no endpoint that is ready`
        : `${found === 'named' ? 'by name: ' : ''}${count(candidates.length, 'endpoint')}: ${shown.join(', ')}`;
  return {
    at,
    stage: 'endpoints',
    name: cluster.name,
    what,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    lost: passedOver.slice(0, 4).map(({ socket, why }) => ({ what: socketWords(model, socket), why })),
  };
}

function candidateWords(model: Model, candidate: Candidate): string {
  const place = candidate.locality === '' ? '' : ` in ${candidate.locality}`;
  const share = candidate.share < 1 ? ` ${round(candidate.share * 100)} %` : '';
  return `${socketWords(model, candidate.socket)}${place}${share}`;
}

function socketWords(model: Model, socket: string): string {
  const workload = workloadAt(model, socket);
  return workload ? `${workload.workload.name} (${socket})` : socket;
}

function tlsDecision(
  following: Following,
  hop: Hop,
  at: DecisionPlace,
  cluster: Cluster,
  tls: UpstreamTls,
  workload: ModelWorkload | undefined,
): Decision {
  const { model, identity } = following;
  const own = hop.role === 'client' && identity ? identity : identityOf(model.mesh.trustDomain, hop.at);
  const origin = originIn(cluster.metadata);
  const plain =
    workload && !workload.proxy
      ? `in plaintext: ${workload.workload.name} has no sidecar`
      : hop.call.tls === 'tls' && hop.call.protocol !== 'tcp'
        ? 'as it came, in the TLS of the application'
        : 'in plaintext';
  const shown =
    tls.mode === 'mtls'
      ? `by mutual TLS, as ${tls.meshCertificate ? own : 'the certificate of the DestinationRule'}`
      : 'by TLS';
  return {
    at,
    stage: 'mtls',
    what: `the connection is made ${tls.mode === 'plaintext' ? plain : shown}`,
    ...(origin && tls.mode !== 'plaintext' ? { by: decidedBy(model, origin) } : {}),
    lost: [],
  };
}

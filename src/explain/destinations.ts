import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { compareText } from '../kit/maps.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import type { Call } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { type EndpointChance, endpointChances } from '../simulate/endpoints.ts';
import { originIn } from '../simulate/walk.ts';
import type { Decision, DecisionPlace } from './explanation.ts';
import { socketText } from './hop.ts';
import { socketWords, workloadAt } from './places.ts';
import { clusterWords, count } from './route-decisions.ts';
import { decidedBy, round } from './words.ts';

/** Different workloads of a cluster that are followed to their ends. */
const mostWorkloads = 8;
/** Endpoints that are named before the rest is counted. */
const mostNamed = 4;

/** Who may get what is sent to a cluster. */
export interface Destinations {
  /** `listed`: known by address; `named`: looked up by the proxy; `original`: where the connection was going. */
  readonly found: 'listed' | 'named' | 'original';
  readonly chances: readonly EndpointChance[];
}

export function destinationsOf(resources: DecodedResources, cluster: Cluster, call: Call): Destinations {
  const { clusterDiscoveryType: discovery } = cluster;
  const type = discovery.case === 'type' ? discovery.value : undefined;
  if (type === DiscoveryType.ORIGINAL_DST) {
    const address = socketText(call.address, call.port);
    const whole = { locality: '', priority: 0, healthy: true, weight: 1, share: 1 };
    return { found: 'original', chances: [{ address, ...whole }] };
  }
  const assignment = resources.endpoints(cluster);
  const named = discovery.case === 'clusterType' || type !== DiscoveryType.EDS;
  return {
    found: named && type !== DiscoveryType.STATIC ? 'named' : 'listed',
    chances: assignment ? endpointChances(cluster, assignment) : [],
  };
}

/** Endpoints that are copies of one thing. */
export interface DestinationGroup {
  /** `address:port` of one of them. */
  readonly socket: string;
  readonly workload?: ModelWorkload;
  /** 0 to 1. */
  readonly share: number;
}

/** One group per workload, the first by name first; shares are of those that are followed. */
export function groupsOf(model: Model, { chances }: Destinations): DestinationGroup[] {
  const taking = chances
    .filter(({ share }) => share > 0)
    .map(({ address, share }) => {
      const workload = workloadAt(model, address);
      return { socket: address, share, ...(workload ? { workload } : {}) };
    })
    .sort((a, b) => compareText(a.workload?.key ?? a.socket, b.workload?.key ?? b.socket));
  const groups = [...Map.groupBy(taking, (one) => kindOf(one)).values()].slice(0, mostWorkloads);
  const shares = groups.map((members) => members.reduce((sum, { share }) => sum + share, 0));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return groups.flatMap(([first], index) =>
    first ? [{ ...first, share: (shares[index] ?? 0) / total }] : [],
  );
}

function kindOf({ socket, workload }: Pick<DestinationGroup, 'socket' | 'workload'>): string {
  if (!workload) return socket;
  return `${workload.workload.namespace}/${workload.workload.controller ?? workload.workload.name}`;
}

export function destinationsDecision(
  model: Model,
  at: DecisionPlace,
  cluster: Cluster,
  destinations: Destinations,
): Decision {
  const origin = originIn(cluster.metadata);
  const passedOver = destinations.chances.filter(({ share }) => share === 0);
  return {
    at,
    stage: 'endpoints',
    name: cluster.name,
    what: destinationWords(model, cluster, destinations),
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    lost: passedOver.slice(0, mostNamed).map(({ address, healthy, locality }) => ({
      what: socketWords(model, address),
      why: healthy
        ? `endpoints nearer than ${locality === '' ? 'it' : locality} go before it`
        : 'it is not ready',
    })),
  };
}

function destinationWords(model: Model, cluster: Cluster, { found, chances }: Destinations): string {
  const taking = chances.filter(({ share }) => share > 0);
  if (found === 'original') return `it goes where it was going: ${chances[0]?.address}`;
  if (taking.length === 0)
    return found === 'named'
      ? 'the proxy looks the destination up by its name'
      : `${clusterWords(cluster.name)} has no endpoint that is ready`;
  const names = taking.map(({ address, locality, share }) => {
    const place = locality === '' ? '' : ` in ${locality}`;
    return `${socketWords(model, address)}${place}${share < 1 ? ` ${round(share * 100)} %` : ''}`;
  });
  const shown =
    names.length > mostNamed
      ? [...names.slice(0, mostNamed - 1), `${names.length - mostNamed + 1} more`]
      : names;
  return `${found === 'named' ? 'by name: ' : ''}${count(taking.length, 'endpoint')}: ${shown.join(', ')}`;
}

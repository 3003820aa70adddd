import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { SecretSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { Origin } from '../config/origin.ts';
import { buildCluster } from '../envoy/cluster.ts';
import { buildEndpoints } from '../envoy/endpoints.ts';
import { encodeResource } from '../envoy/pack.ts';
import { buildSecret } from '../envoy/secret.ts';
import { type ClusterPlan, type EndpointsPlan, slowWarmingSlot } from '../plan/cluster-plan.ts';
import { parseDuration } from '../plan/duration.ts';
import type { Feature, OutputPatches, PatchedType, Shaper } from '../plan/feature.ts';
import type { ListenerPlan, SecretPlan } from '../plan/listener-plan.ts';
import { read, type Slotted } from '../plan/slot.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../snapshot/query.ts';
import { type KnownAs, type Resource, type ResourceHints, typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import { createDecorate } from './decorate.ts';
import { createEmit, type Emit } from './emit.ts';
import { originsOf } from './origins.ts';
import { patchedItem, patchesOf } from './patch.ts';
import type { Planned } from './planned.ts';
import { routeRoots } from './route-roots.ts';
import { sameResource } from './same-resource.ts';

/** What the features make of the mesh. */
export interface Roots {
  /** Every resource of every type, for the engine. Names are unique per type over all collections. */
  readonly collections: readonly Collection<Resource>[];
  /** The plan nodes behind them, made on demand: nothing subscribes to these. */
  readonly plans: readonly { readonly name: string; readonly list: (view: View) => Planned[] }[];
}

/** Joins the features into root collections. Defines queries: call it once in a process. */
export function createRoots(features: readonly Feature[]): Roots {
  const decorate = createDecorate(features);
  const emit = createEmit(features);
  const patches = patchesOf(features);
  const patching = (type: PatchedType) => (patches ? { type, patches } : undefined);
  const collections: Collection<Resource>[] = [];
  const plans: { name: string; list: (view: View) => Planned[] }[] = [];
  const add = (name: string, root: NodeRoot): void => {
    collections.push(root.collection);
    plans.push({ name, list: root.list });
  };
  for (const feature of features) {
    for (const shaper of feature.clusters ?? [])
      add(
        shaper.name,
        nodeRoot('cluster', shaper, decorate.cluster, clusterResource(emit), patching('cluster')),
      );
    for (const shaper of feature.endpoints ?? [])
      add(
        shaper.name,
        nodeRoot('endpoints', shaper, () => {}, endpointsResource),
      );
    for (const shaper of feature.listeners ?? [])
      add(
        shaper.name,
        nodeRoot('listener', shaper, decorate.listener, listenerResource(emit), patching('listener')),
      );
    for (const shaper of feature.secrets ?? [])
      add(
        shaper.name,
        nodeRoot('secret', shaper, () => {}, secretResource),
      );
    for (const shaper of feature.routes ?? []) {
      const root = routeRoots(shaper, decorate, emit, patches);
      collections.push(...root.collections);
      plans.push({ name: shaper.name, list: root.list });
    }
  }
  collections.push(...(patches?.collections ?? []));
  return { collections, plans };
}

interface NodeRoot {
  readonly collection: Collection<Resource>;
  readonly list: (view: View) => Planned[];
}

/** The collection of a shaper: who applies first (an entry per class), then the node from that alone (shared by all of them). */
function nodeRoot<P extends Slotted & { readonly origin: Origin }>(
  type: 'cluster' | 'endpoints' | 'listener' | 'secret',
  shaper: Shaper<P>,
  decorate: (view: View, plan: P) => void,
  emit: (view: View, plan: P) => Resource,
  patching?: { readonly type: PatchedType; readonly patches: OutputPatches },
): NodeRoot {
  const name = `${type}/${shaper.name}`;
  const idsOf = (view: View, key: Key): readonly Key[] | undefined =>
    shaper.resolve ? shaper.resolve(view, key) : [key];
  const decorated = (view: View, ids: readonly Key[]): P | undefined => {
    const plan = shaper.plan(view, ...ids);
    if (plan) decorate(view, plan);
    return plan;
  };
  const built = defineQuery(
    `${name}.built`,
    (view, ...ids: Key[]): Resource | undefined => {
      const plan = decorated(view, ids);
      return plan && emit(view, plan);
    },
    { equal: sameResource },
  );
  const made = patching
    ? patchedItem(name, patching.type, patching.patches, built)
    : (view: View, ids: readonly Key[]) => view.call(built, ...ids);
  const item = defineQuery(
    `${name}.item`,
    (view, key: Key): Resource | undefined => {
      const ids = idsOf(view, key);
      return ids && made(view, ids);
    },
    { equal: sameResource },
  );
  return {
    collection: defineCollection(name, shaper.keys, item, typeUrls[type]),
    list: (view) =>
      view.call(shaper.keys).flatMap((key) => {
        const ids = idsOf(view, key);
        const node = ids && decorated(view, ids);
        return node ? [{ type, node }] : [];
      }),
  };
}

const defaultDnsRefreshMs = 60_000;

function clusterResource(emit: Emit): (view: View, plan: ClusterPlan) => Resource {
  return (view, plan) => {
    const message = buildCluster(plan, parseDuration(view.mesh('dnsRefreshRate')) ?? defaultDnsRefreshMs);
    emit.cluster(plan, message);
    return encodeResource(typeUrls.cluster, plan.name, ClusterSchema, message, originsOf(plan), {
      ...(plan.discovery.type === 'eds' ? edsHints(plan.name, plan.discovery.serviceName) : {}),
      ...(read(plan, slowWarmingSlot) ? { slowWarming: true } : {}),
      ...(plan.direction === 'inbound' && plan.service
        ? { known: { host: plan.service.hostname, port: plan.service.port } }
        : {}),
    });
  };
}

function edsHints(name: string, set = name): ResourceHints {
  return set === name ? { eds: true } : { eds: true, endpointSet: set };
}

function endpointsResource(_: View, plan: EndpointsPlan): Resource {
  const message = buildEndpoints(plan);
  return encodeResource(
    typeUrls.endpoints,
    plan.cluster,
    ClusterLoadAssignmentSchema,
    message,
    originsOf(plan),
  );
}

function listenerResource(emit: Emit): (view: View, plan: ListenerPlan) => Resource {
  return (_, plan) => {
    const { chains, defaultChain } = plan;
    const origins = originsOf(plan, ...chains, ...(defaultChain ? [defaultChain] : []));
    const known = knownAs(plan);
    return encodeResource(typeUrls.listener, plan.name, ListenerSchema, emit.listener(plan), origins, {
      ...(known ? { known } : {}),
    });
  };
}

/** Of explicit and allocated listeners: what they are in a mesh that captures by the kernel. */
function knownAs({ direction, name, port, chains }: ListenerPlan): KnownAs | undefined {
  const servicePort = chains.find((chain) => chain.policyPort !== undefined)?.policyPort;
  if (direction === 'inbound')
    return {
      inbound: true,
      ...(name === 'virtualInbound' ? {} : { names: ['virtualInbound'], port: servicePort ?? port }),
    };
  const explicit = /^explicit_.*:(\d+)$/.exec(name);
  if (explicit) return { port: Number(explicit[1]), names: [`0.0.0.0_${explicit[1]}`] };
  return servicePort === undefined ? undefined : { port: servicePort, names: [`0.0.0.0_${servicePort}`] };
}

function secretResource(_: View, plan: SecretPlan): Resource {
  return encodeResource(typeUrls.secret, plan.name, SecretSchema, buildSecret(plan), originsOf(plan));
}

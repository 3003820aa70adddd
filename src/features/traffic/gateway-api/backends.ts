import { outboundCluster } from '../../../plan/names.ts';
import { poolHost } from '../../../registry/inference-pool.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import type { PickerPlan } from '../inference/schema.ts';
import { type RouteId, routeObject, splitId } from './kinds.ts';
import { poolGroup, resolvePool } from './pools.ts';
import { type Fault, mayRefer, type Resolved } from './references.ts';
import { hasPort, hostOf, serviceByKey, serviceOf } from './services.ts';

/** A cluster that nobody makes: what a weight sends there is answered 500. */
export const invalidBackend = 'InvalidBackend';

export interface BackendRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}

export interface Backend {
  readonly cluster: string;
  readonly host: string;
  readonly service: Key;
  readonly port: number;
  /** An inference pool's: who chooses the endpoint. */
  readonly picker?: PickerPlan;
}

/** The cluster that a reference stands for, there or not: what is sent to one that is not is answered 500. */
export function clusterOf(view: View, route: RouteId, ref: BackendRef): string {
  const { kind = 'Service', name, port = 0 } = ref;
  if (kind === 'InferencePool') return invalidBackend;
  const host = kind === 'Hostname' ? name : hostOf(view, ref.namespace || splitId(route).namespace, name);
  return outboundCluster(port, '', host);
}

function fail(reason: string, message: string): { readonly ok: false } & Fault {
  return { ok: false, reason, message };
}

/** Where a backend reference of a route leads: a Service, or by `kind: Hostname` any host of the mesh, as Istio has it. */
export function resolveBackend(view: View, route: RouteId, ref: BackendRef): Resolved<Backend> {
  const from = splitId(route);
  const { group: refGroup = '', kind = 'Service', name, port } = ref;
  const namespace = ref.namespace || from.namespace;
  const target = { group: refGroup, kind, namespace, name };
  const isHost = refGroup === 'networking.istio.io' && kind === 'Hostname';
  const isPool = refGroup === poolGroup && kind === 'InferencePool';
  if (!isPool && !isHost && !(refGroup === '' && kind === 'Service'))
    return fail(
      'InvalidKind',
      `backend ${name} is of group ${JSON.stringify(refGroup)} and kind ${kind}: Service, Hostname and InferencePool are known`,
    );
  if (isHost && ref.namespace && ref.namespace !== from.namespace)
    return fail('UnsupportedValue', `backend ${name}: a Hostname belongs to no namespace`);
  if (!mayRefer(view, from, target) && !isParent(view, route, namespace))
    return fail(
      'RefNotPermitted',
      `${kind} ${namespace}/${name} is not open to ${from.kind}s of ${from.namespace}: a ReferenceGrant in ${namespace} must allow it`,
    );
  if (isPool) return poolBackend(view, from.kind, namespace, name);
  const key = isHost ? view.list(servicesByHost, name)[0] : undefined;
  const facts = isHost
    ? key === undefined
      ? undefined
      : serviceByKey(view, key)
    : serviceOf(view, namespace, name);
  if (!facts)
    return fail(
      'BackendNotFound',
      `there is no ${isHost ? 'host' : 'Service'} ${isHost ? name : `${namespace}/${name}`}`,
    );
  if (!port) return fail('UnsupportedValue', `backend ${name} needs a port`);
  if (!hasPort(facts, port))
    return fail(
      'BackendNotFound',
      `${isHost ? 'host' : 'Service'} ${name} has no port ${port}; it has ${facts.ports.map((one) => one.port).join(', ')}`,
    );
  return {
    ok: true,
    value: {
      cluster: outboundCluster(port, '', facts.host),
      host: facts.host,
      service: key ?? `${namespace}/${facts.host}`,
      port,
    },
  };
}

function poolBackend(view: View, kind: string, namespace: string, name: string): Resolved<Backend> {
  if (kind !== 'HTTPRoute' && kind !== 'GRPCRoute')
    return fail('InvalidKind', `an InferencePool takes HTTP, which a ${kind} does not look at`);
  const pool = resolvePool(view, namespace, name);
  if (!pool.ok) return pool;
  const { cluster, service, port, picker } = pool.value;
  return { ok: true, value: { cluster, host: poolHost(namespace, name), service, port, picker } };
}

/** A route of the mesh may send to the namespace of a service that it routes for: whoever calls that one could do so anyway. */
function isParent(view: View, route: RouteId, namespace: string): boolean {
  const parents = routeObject(view, route)?.spec?.parentRefs ?? [];
  return parents.some((ref) => ref.group === '' && ref.kind === 'Service' && ref.namespace === namespace);
}

/** The first of a route's backend references that leads nowhere, as its condition tells it. */
export function worst(errors: readonly (Fault | undefined)[]): Fault | undefined {
  const found = errors.filter((error) => error !== undefined);
  // A kind that cannot exist is the graver mistake, then what may not be referred to; an object may come yet.
  for (const grave of ['InvalidKind', 'RefNotPermitted']) {
    const first = found.find(({ reason }) => reason === grave);
    if (first) return first;
  }
  return found[0];
}

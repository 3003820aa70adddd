import { hostCovers } from '../../../plan/hosts.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { isForeignClass, isOurs } from './classes.ts';
import {
  defaultGateways,
  gatewayKind,
  group,
  listenerSetKind,
  namespaceOf,
  type ParentId,
  type ParentRef,
  parentOf,
  type RouteId,
  type RouteKind,
  routeObject,
  routesForDefault,
  routesNaming,
  splitId,
} from './kinds.ts';
import { gatewayListeners, gatewayOfSet, isSetAllowed, type Listener, listenerId } from './listeners.ts';
import { namespaceAllowed } from './namespaces.ts';
import type { Fault } from './references.ts';
import { hostOf, serviceEntryHosts, serviceOf, waypointOf } from './services.ts';

/** A listener that took a route, and the host names that both have. */
export interface AttachedListener {
  readonly listener: string;
  readonly hostnames: readonly string[];
}

/** What became of one parent reference of a route. */
export interface Attachment {
  /** Of the reference, in `spec.parentRefs`; -1: the route asks for default Gateways, and this is one. */
  readonly index: number;
  /** The reference as written, or as it would be. */
  readonly ref: ParentRef;
  readonly parent: ParentId;
  /** The Gateway behind a Gateway or ListenerSet. */
  readonly gateway?: Key;
  readonly listeners: readonly AttachedListener[];
  readonly error?: Fault;
}

/** The parents of a route that are ours; others are somebody else's to judge. */
export const attachmentsOf = defineQuery(
  'gateway-api.attachments',
  (view, id: Key): readonly Attachment[] => {
    const route = routeObject(view, id);
    if (!route) return [];
    const { parentRefs = [], hostnames = [] } = route.spec ?? {};
    const named = parentRefs.flatMap((ref, index) => {
      const parent = parentOf(ref, namespaceOf(route));
      if (parent === undefined) return [];
      const { kind } = splitId(parent);
      if (kind === 'Service' || kind === 'ServiceEntry')
        return hasForeignWaypoint(view, parent) ? [] : [toService(view, id, { parent, ref, index })];
      return attach(view, id, { parent, ref, index }, hostnames);
    });
    if (route.spec?.useDefaultGateways !== 'All') return named;
    return [...named, ...toDefaultGateways(view, id, named, hostnames)];
  },
);

/** Default Gateways that take the route. One that does not was not asked by name, so there is nothing to complain of. */
function toDefaultGateways(
  view: View,
  id: RouteId,
  named: readonly Attachment[],
  hostnames: readonly string[],
): Attachment[] {
  return view.list(defaultGateways, '').flatMap((key) => {
    const parent = `Gateway/${key}`;
    if (named.some((one) => one.parent === parent)) return [];
    const { namespace, name } = splitId(parent);
    const ref = { group, kind: 'Gateway', namespace, name };
    return attach(view, id, { parent, ref, index: -1 }, hostnames).filter(({ error }) => !error);
  });
}

type Reference = Pick<Attachment, 'parent' | 'ref' | 'index'>;

/** Whether a service is bound to a waypoint of another controller: that one carries out what its routes say. */
function hasForeignWaypoint(view: View, parent: ParentId): boolean {
  const { kind, key, namespace, name } = splitId(parent);
  const [service] =
    kind === 'ServiceEntry'
      ? view.call(serviceEntryHosts, key)
      : [`${namespace}/${hostOf(view, namespace, name)}`];
  const waypoint = service === undefined ? '' : view.call(waypointOf, service);
  if (waypoint === '') return false;
  const className = view.get(gatewayKind, waypoint)?.spec?.gatewayClassName;
  return className !== undefined && isForeignClass(view, className);
}

function toService(view: View, id: RouteId, reference: Reference): Attachment {
  const { kind, key, namespace, name } = splitId(reference.parent);
  const base = { ...reference, listeners: [] };
  if (splitId(id).kind === 'UDPRoute')
    return {
      ...base,
      error: { reason: 'NotAllowedByListeners', message: 'UDP is not carried inside the mesh' },
    };
  const found =
    kind === 'Service'
      ? serviceOf(view, namespace, name) !== undefined
      : view.call(serviceEntryHosts, key).length > 0;
  return found
    ? base
    : { ...base, error: { reason: 'NoMatchingParent', message: `there is no ${kind} ${key}` } };
}

function gatewayOf(view: View, parent: ParentId): Key | undefined {
  const { kind, key } = splitId(parent);
  if (kind === 'Gateway') return key;
  const set = view.get(listenerSetKind, key);
  return set && gatewayOfSet(set);
}

function attach(view: View, id: RouteId, reference: Reference, hostnames: readonly string[]): Attachment[] {
  const { ref, parent } = reference;
  const gateway = gatewayOf(view, parent);
  if (gateway === undefined || !view.call(isOurs, gateway)) return [];
  const base = { ...reference, gateway };
  const fail = (reason: string, message: string): Attachment[] => [
    { ...base, listeners: [], error: { reason, message } },
  ];
  const set = splitId(parent);
  if (set.kind === 'ListenerSet' && !view.call(isSetAllowed, set.key))
    return fail('NoMatchingParent', `Gateway ${gateway} takes no listeners from ListenerSet ${set.key}`);
  const named = view
    .call(gatewayListeners, gateway)
    .filter(
      (listener) =>
        listener.owner === parent &&
        (!ref.sectionName || listener.name === ref.sectionName) &&
        (!ref.port || listener.port === ref.port),
    );
  if (named.length === 0) return fail('NoMatchingParent', `no listener of ${parent} is ${describe(ref)}`);
  const open = named.filter((listener) => !listener.conflict && !listener.notAccepted);
  const common = open.flatMap((listener) => {
    const names = commonHosts(listener, id, hostnames);
    return names.length > 0 ? [{ listener, names }] : [];
  });
  if (open.length > 0 && common.length === 0)
    return fail(
      'NoMatchingListenerHostname',
      `none of ${hostnames.join(', ')} is covered by ${open.map(({ hostname }) => hostname).join(', ')}`,
    );
  const listeners = common
    .filter(({ listener }) => isAllowed(view, listener, id))
    .map(({ listener, names }) => ({ listener: listenerId(listener), hostnames: names }));
  if (listeners.length === 0) return fail('NotAllowedByListeners', whyNotAllowed(named, open, id));
  return [{ ...base, listeners }];
}

function describe({ sectionName, port }: ParentRef): string {
  const parts = [...(sectionName ? [`named ${sectionName}`] : []), ...(port ? [`on port ${port}`] : [])];
  return parts.join(' and ');
}

function isAllowed(view: View, listener: Listener, id: RouteId): boolean {
  const { kind, namespace } = splitId<RouteKind>(id);
  return (
    listener.kinds.includes(kind) &&
    namespaceAllowed(view, listener.namespaces, 'Same', splitId(listener.owner).namespace, namespace)
  );
}

function whyNotAllowed(named: readonly Listener[], open: readonly Listener[], id: RouteId): string {
  const { kind, namespace } = splitId<RouteKind>(id);
  if (open.length === 0) return `no listener is in service: ${named.map(({ name }) => name).join(', ')}`;
  return open.some(({ kinds }) => kinds.includes(kind))
    ? `no listener takes routes of namespace ${namespace}`
    : `no listener takes a ${kind}: ${open.map(({ name, protocol }) => `${name} speaks ${protocol}`).join(', ')}`;
}

/** Names that the listener and the route have in common; `*` for any. Connections without names have no say in it. */
function commonHosts(listener: Listener, id: RouteId, hostnames: readonly string[]): string[] {
  const { kind } = splitId<RouteKind>(id);
  if (kind === 'TCPRoute' || kind === 'UDPRoute') return ['*'];
  const own = listener.hostname === '' ? '*' : listener.hostname;
  if (hostnames.length === 0) return [own];
  const common = hostnames.flatMap((written) => {
    const host = written.toLowerCase();
    if (hostCovers(own, host)) return [host];
    return hostCovers(host, own) ? [own] : [];
  });
  return [...new Set(common)];
}

/** A route at a listener of a Gateway. */
export interface AttachedRoute {
  readonly route: RouteId;
  readonly listener: string;
  readonly hostnames: readonly string[];
}

/** Every route attached to a Gateway's listeners, its ListenerSets' included. */
export const attachedRoutes = defineQuery(
  'gateway-api.attached-routes',
  (view, gateway: Key): readonly AttachedRoute[] => {
    const listeners = view.call(gatewayListeners, gateway);
    const parents = [...new Set(listeners.map(({ owner }) => owner))];
    const asking = view.get(gatewayKind, gateway)?.spec?.defaultScope === 'All' ? routesForDefault(view) : [];
    const routes = new Set([...parents.flatMap((parent) => routesNaming(view, parent)), ...asking]);
    return [...routes].flatMap((route) => {
      const found = new Map<string, readonly string[]>();
      for (const attachment of view.call(attachmentsOf, route))
        if (attachment.gateway === gateway)
          for (const { listener, hostnames } of attachment.listeners)
            found.set(listener, [...new Set([...(found.get(listener) ?? []), ...hostnames])]);
      return [...found].map(([listener, hostnames]) => ({ route, listener, hostnames }));
    });
  },
);

/** How many routes each listener of a Gateway has, by `owner#name`. */
export const routeCounts = defineQuery(
  'gateway-api.route-counts',
  (view, gateway: Key): Readonly<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const { listener } of view.call(attachedRoutes, gateway))
      counts[listener] = (counts[listener] ?? 0) + 1;
    return counts;
  },
);

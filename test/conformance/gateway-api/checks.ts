import type { ConfigObject, StatusCondition } from '../../../src/config/object.ts';
import { seenRequests } from './backends.ts';
import type { SuiteMesh } from './suite-mesh.ts';

interface Wanted {
  type: string;
  status: string;
  reason?: string;
}

interface WantedListener {
  name: string;
  attachedRoutes?: number;
  supportedKinds?: { kind: string }[];
  conditions?: Wanted[];
}

type Ref = string | { namespace: string; name: string };

/** A status check as the suite's tables have it. */
export interface StatusCheck {
  check: string;
  step?: string;
  gw?: Ref;
  gwRef?: Ref;
  gwNN?: Ref;
  gwName?: Ref;
  lsNN?: Ref;
  lsName?: Ref;
  lName?: string;
  policyNN?: Ref;
  routeNN?: Ref;
  routeName?: Ref;
  routeNNs?: Ref[];
  resource?: Ref;
  condition?: Wanted;
  expectedCondition?: Wanted;
  conditions?: Wanted[];
  listeners?: WantedListener[];
  listenerNames?: string[];
  parents?: { parentRef: { name: string; namespace?: string }; conditions: Wanted[] }[];
  expectedCount?: number;
  mirrorPods?: string[];
  path?: string;
}

const group = 'gateway.networking.k8s.io';
const controllers = ['istio.io/gateway-controller', 'istio.io/mesh-controller'];

interface Listed {
  name: string;
  attachedRoutes: number;
  supportedKinds: { kind: string }[];
  conditions: StatusCondition[];
}

interface Parent {
  controllerName: string;
  parentRef: { kind?: string; name: string; namespace?: string; port?: number; sectionName?: string };
  conditions: StatusCondition[];
}

interface Status {
  conditions?: StatusCondition[];
  listeners?: Listed[];
  addresses?: unknown[];
  attachedListenerSets?: number;
  parents?: Parent[];
  ancestors?: {
    controllerName: string;
    ancestorRef: { name: string; namespace?: string };
    conditions: StatusCondition[];
  }[];
}

function keyOf(ref: Ref | undefined): string {
  if (ref === undefined) throw new Error('the check names no object');
  return typeof ref === 'string' ? ref : `${ref.namespace}/${ref.name}`;
}

function statusOf(
  mesh: SuiteMesh,
  kind: string,
  ref: Ref | undefined,
): { object: ConfigObject; status: Status } {
  const object = mesh.get(`${kind}.${group}`, keyOf(ref));
  if (!object) throw new Error(`there is no ${kind} ${keyOf(ref)}`);
  return { object, status: (object.status ?? {}) as Status };
}

function expectCondition(
  what: string,
  present: readonly StatusCondition[] | undefined,
  wanted: Wanted,
): void {
  const found = present?.find(({ type }) => type === wanted.type);
  const right = found?.status === wanted.status && (!wanted.reason || found.reason === wanted.reason);
  if (!right)
    throw new Error(
      `${what}: ${wanted.type} is ${found ? `${found.status}/${found.reason} (${found.message})` : 'absent'}, wanted ${wanted.status}/${wanted.reason ?? '*'}`,
    );
}

function expectLatest(
  what: string,
  object: ConfigObject,
  conditions: readonly StatusCondition[] | undefined,
): void {
  for (const { type, observedGeneration } of conditions ?? [])
    if (observedGeneration !== object.metadata.generation)
      throw new Error(
        `${what}: ${type} speaks of generation ${observedGeneration}, not ${object.metadata.generation}`,
      );
}

const acceptedTrue: Wanted = { type: 'Accepted', status: 'True' };

function gatewayAccepted(mesh: SuiteMesh, ref: Ref | undefined): void {
  const { object, status } = statusOf(mesh, 'Gateway', ref);
  expectCondition(keyOf(ref), status.conditions, acceptedTrue);
  expectCondition(keyOf(ref), status.conditions, { type: 'Programmed', status: 'True' });
  if (!status.addresses?.length) throw new Error(`${keyOf(ref)} has no address`);
  expectLatest(keyOf(ref), object, status.conditions);
}

const routeKinds = ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'];

function parentsOf(mesh: SuiteMesh, route: Ref | undefined, parent?: string, kind?: string): Parent[] {
  const kinds = kind ? [kind] : routeKinds;
  const found = kinds.find((one) => mesh.get(`${one}.${group}`, keyOf(route)));
  const { object, status } = statusOf(mesh, found ?? 'HTTPRoute', route);
  const ours = (status.parents ?? []).filter(({ controllerName }) => controllers.includes(controllerName));
  for (const { conditions } of ours) expectLatest(keyOf(route), object, conditions);
  if (parent === undefined) return ours;
  const matching = ours.filter(
    ({ parentRef }) => `${parentRef.namespace ?? object.metadata.namespace}/${parentRef.name}` === parent,
  );
  if (matching.length === 0) throw new Error(`${keyOf(route)} has no status for ${parent}`);
  return matching;
}

function routesAccepted(mesh: SuiteMesh, routes: readonly Ref[], parent: string, kind?: string): void {
  for (const route of routes)
    for (const { conditions } of parentsOf(mesh, route, parent, kind))
      expectCondition(keyOf(route), conditions, acceptedTrue);
}

function expectListeners(
  what: string,
  present: readonly Listed[] | undefined,
  wanted: readonly WantedListener[],
): void {
  if (present?.length !== wanted.length)
    throw new Error(`${what} has ${present?.length} listeners in its status, wanted ${wanted.length}`);
  for (const listener of wanted) {
    const found = present.find(({ name }) => name === listener.name);
    if (!found) throw new Error(`${what} says nothing of listener ${listener.name}`);
    for (const condition of listener.conditions ?? [])
      expectCondition(`${what}#${listener.name}`, found.conditions, condition);
    if (listener.attachedRoutes !== undefined && found.attachedRoutes !== listener.attachedRoutes)
      throw new Error(
        `${what}#${listener.name} has ${found.attachedRoutes} routes, wanted ${listener.attachedRoutes}`,
      );
    for (const { kind } of listener.supportedKinds ?? [])
      if (!found.supportedKinds.some((one) => one.kind === kind))
        throw new Error(`${what}#${listener.name} does not support ${kind}`);
  }
}

function expectListenerConditions(
  what: string,
  present: readonly Listed[] | undefined,
  names: readonly string[] | undefined,
  wanted: readonly Wanted[],
): void {
  const chosen = (present ?? []).filter(({ name }) => !names?.length || names.includes(name));
  if (chosen.length === 0) throw new Error(`${what} says nothing of listeners ${names?.join(', ')}`);
  for (const { name, conditions } of chosen)
    for (const condition of wanted) expectCondition(`${what}#${name}`, conditions, condition);
}

type Check = (mesh: SuiteMesh, check: StatusCheck) => void;

const wantedOf = (check: StatusCheck): Wanted => {
  const wanted = check.condition ?? check.expectedCondition;
  if (!wanted) throw new Error('the check names no condition');
  return wanted;
};

/** `XxxRouteMustHaveCondition`, `GatewayAndXxxRoutesMustBeAccepted`, … */
function routeCheck(name: string): Check | undefined {
  const match = /^(HTTP|GRPC|TLS|TCP|UDP)RouteMustHave(.*)$/.exec(name);
  const kind = match ? `${match[1]}Route` : undefined;
  switch (match?.[2]) {
    case 'Condition':
      return (mesh, check) => {
        for (const { conditions } of parentsOf(mesh, check.routeNN, keyOf(check.gwNN), kind))
          expectCondition(keyOf(check.routeNN), conditions, wantedOf(check));
      };
    case 'ResolvedRefsConditionsTrue':
      return (mesh, check) => {
        for (const { conditions } of parentsOf(mesh, check.routeNN, keyOf(check.gwNN), kind))
          expectCondition(keyOf(check.routeNN), conditions, { type: 'ResolvedRefs', status: 'True' });
      };
    case 'NoAcceptedParents':
      return (mesh, check) => {
        for (const { conditions } of parentsOf(mesh, check.routeName, undefined, kind))
          if (conditions.some(({ type, status }) => type === 'Accepted' && status === 'True'))
            throw new Error(`${keyOf(check.routeName)} is accepted`);
      };
    case 'Parents':
      return (mesh, check) => {
        for (const { parentRef, conditions } of check.parents ?? []) {
          const namespace = parentRef.namespace ?? keyOf(check.routeName).split('/')[0];
          for (const found of parentsOf(mesh, check.routeName, `${namespace}/${parentRef.name}`, kind))
            for (const condition of conditions)
              expectCondition(keyOf(check.routeName), found.conditions, condition);
        }
      };
    default:
      return undefined;
  }
}

const checks: Readonly<Record<string, Check>> = {
  NamespacesMustBeReady: () => undefined,
  WaitForGatewayAddress: (mesh, check) => {
    const { status } = statusOf(mesh, 'Gateway', check.gwRef);
    if (!status.addresses?.length) throw new Error(`${keyOf(check.gwRef)} has no address`);
  },
  GatewayMustHaveLatestConditions: (mesh, check) => {
    const { object, status } = statusOf(mesh, 'Gateway', check.gwNN);
    expectLatest(keyOf(check.gwNN), object, status.conditions);
    for (const { conditions } of status.listeners ?? []) expectLatest(keyOf(check.gwNN), object, conditions);
  },
  GatewayMustHaveCondition: (mesh, check) =>
    expectCondition(
      keyOf(check.gwNN),
      statusOf(mesh, 'Gateway', check.gwNN).status.conditions,
      wantedOf(check),
    ),
  GatewayStatusMustHaveListeners: (mesh, check) =>
    expectListeners(
      keyOf(check.gwNN),
      statusOf(mesh, 'Gateway', check.gwNN).status.listeners,
      check.listeners ?? [],
    ),
  GatewayListenersMustHaveConditions: (mesh, check) =>
    expectListenerConditions(
      keyOf(check.gwName),
      statusOf(mesh, 'Gateway', check.gwName).status.listeners,
      check.listenerNames,
      check.conditions ?? [],
    ),
  GatewayListenerMustHaveConditions: (mesh, check) =>
    expectListenerConditions(
      keyOf(check.gwName),
      statusOf(mesh, 'Gateway', check.gwName).status.listeners,
      [check.lName ?? ''],
      check.conditions ?? [],
    ),
  GatewayMustHaveZeroRoutes: (mesh, check) => {
    for (const { name, attachedRoutes } of statusOf(mesh, 'Gateway', check.gwName).status.listeners ?? [])
      if (attachedRoutes !== 0)
        throw new Error(`${keyOf(check.gwName)}#${name} has ${attachedRoutes} routes`);
  },
  GatewayMustHaveAttachedListeners: (mesh, check) => {
    const count = statusOf(mesh, 'Gateway', check.gwName).status.attachedListenerSets ?? 0;
    if (count !== check.expectedCount)
      throw new Error(`${keyOf(check.gwName)} has ${count} ListenerSets, wanted ${check.expectedCount}`);
  },
  ListenerSetMustHaveCondition: (mesh, check) => {
    const { object, status } = statusOf(mesh, 'ListenerSet', check.lsNN);
    expectLatest(keyOf(check.lsNN), object, status.conditions);
    expectCondition(keyOf(check.lsNN), status.conditions, wantedOf(check));
  },
  ListenerSetListenersMustHaveConditions: (mesh, check) =>
    expectListenerConditions(
      keyOf(check.lsName),
      statusOf(mesh, 'ListenerSet', check.lsName).status.listeners,
      check.listenerNames,
      check.conditions ?? [],
    ),
  ListenerSetStatusMustHaveListeners: (mesh, check) =>
    expectListeners(
      keyOf(check.lsNN),
      statusOf(mesh, 'ListenerSet', check.lsNN).status.listeners,
      check.listeners ?? [],
    ),
  BackendTLSPolicyMustHaveCondition: (mesh, check) => {
    const { object, status } = statusOf(mesh, 'BackendTLSPolicy', check.policyNN);
    const found = (status.ancestors ?? []).filter(
      ({ ancestorRef }) =>
        `${ancestorRef.namespace ?? object.metadata.namespace}/${ancestorRef.name}` === keyOf(check.gwNN),
    );
    if (found.length === 0) throw new Error(`${keyOf(check.policyNN)} says nothing of ${keyOf(check.gwNN)}`);
    for (const { conditions } of found) {
      expectLatest(keyOf(check.policyNN), object, conditions);
      expectCondition(keyOf(check.policyNN), conditions, wantedOf(check));
    }
  },
  RoutesAndParentMustBeAccepted: (mesh, check) => {
    const parent = keyOf(check.resource);
    const kind = mesh.get(`ListenerSet.${group}`, parent) ? 'ListenerSet' : 'Gateway';
    expectCondition(parent, statusOf(mesh, kind, parent).status.conditions, acceptedTrue);
    routesAccepted(mesh, check.routeNNs ?? [], parent);
  },
  ExpectMirroredRequest: (_, check) => {
    const path = (check.path ?? '').split('?')[0];
    for (const name of check.mirrorPods ?? []) {
      const [namespace, deployment] = name.split('/');
      if (
        !seenRequests.some(
          (seen) =>
            seen.path === path && seen.namespace === namespace && seen.pod.startsWith(`${deployment}-`),
        )
      )
        throw new Error(`${name} saw no copy of ${path}`);
    }
  },
};

/** Throws what is wrong. */
export function runCheck(mesh: SuiteMesh, check: StatusCheck): void {
  const known = checks[check.check] ?? routeCheck(check.check);
  if (known) {
    known(mesh, check);
    return;
  }
  const accepted = /^GatewayAnd(HTTP|GRPC|TLS|TCP|UDP)?RoutesMustBeAccepted$/.exec(check.check);
  if (!accepted) throw new Error(`the runner knows no check ${check.check}`);
  gatewayAccepted(mesh, check.gw);
  routesAccepted(
    mesh,
    check.routeNNs ?? [],
    keyOf(check.gw),
    accepted[1] ? `${accepted[1]}Route` : undefined,
  );
}

import type { BackendTLSPolicySpec } from '../../../../gen/crd/types/gateway-api/backend-tls-policy.ts';
import type { GatewaySpec } from '../../../../gen/crd/types/gateway-api/gateway.ts';
import type { GatewayClassSpec } from '../../../../gen/crd/types/gateway-api/gateway-class.ts';
import type { GRPCRouteSpec } from '../../../../gen/crd/types/gateway-api/grpc-route.ts';
import type { HTTPRouteParentRefs, HTTPRouteSpec } from '../../../../gen/crd/types/gateway-api/http-route.ts';
import type { ListenerSetSpec } from '../../../../gen/crd/types/gateway-api/listener-set.ts';
import type { ReferenceGrantSpec } from '../../../../gen/crd/types/gateway-api/reference-grant.ts';
import type { TCPRouteSpec } from '../../../../gen/crd/types/gateway-api/tcp-route.ts';
import type { TLSRouteSpec } from '../../../../gen/crd/types/gateway-api/tls-route.ts';
import type { UDPRouteSpec } from '../../../../gen/crd/types/gateway-api/udp-route.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex, type KindToken } from '../../../snapshot/world.ts';

export const group = 'gateway.networking.k8s.io';
/** The name by which GatewayClasses and status entries say that they are ours: Istio's, so that people's classes work as they are. */
export const controllerName = 'istio.io/gateway-controller';
/** The label of the workloads and Services that serve a Gateway of their own namespace. */
export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

/** Istio's annotation by which a policy is left alone. */
export const ignoreAnnotation = 'istio.io/ignore-policy-attachment';

function kindOf<Spec>(kind: string): KindToken<ConfigObject<Spec>> {
  return configKind<Spec>(`${group}/${kind}`);
}

export const gatewayClassKind = kindOf<GatewayClassSpec>('GatewayClass');
export const gatewayKind = kindOf<GatewaySpec>('Gateway');
export const listenerSetKind = kindOf<ListenerSetSpec>('ListenerSet');
export const referenceGrantKind = kindOf<ReferenceGrantSpec>('ReferenceGrant');
export const backendTlsPolicyKind = kindOf<BackendTLSPolicySpec>('BackendTLSPolicy');
export const httpRouteKind = kindOf<HTTPRouteSpec>('HTTPRoute');
export const grpcRouteKind = kindOf<GRPCRouteSpec>('GRPCRoute');
export const tlsRouteKind = kindOf<TLSRouteSpec>('TLSRoute');
export const tcpRouteKind = kindOf<TCPRouteSpec>('TCPRoute');
export const udpRouteKind = kindOf<UDPRouteSpec>('UDPRoute');
export const namespaceKind = configKind<undefined>('Namespace');
export const configMapKind = configKind<undefined>('ConfigMap');
export const secretKind = configKind<undefined>('Secret');

export type Gateway = ConfigObject<GatewaySpec>;
export type ListenerSet = ConfigObject<ListenerSetSpec>;
export type ParentRef = HTTPRouteParentRefs;
export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute' | 'UDPRoute';

/** What every route kind has in common. */
export interface CommonRouteSpec {
  readonly parentRefs?: readonly ParentRef[];
  readonly hostnames?: readonly string[];
  readonly useDefaultGateways?: string;
}

const routeTokens: Readonly<Record<RouteKind, KindToken<ConfigObject<CommonRouteSpec>>>> = {
  HTTPRoute: httpRouteKind as KindToken<ConfigObject<CommonRouteSpec>>,
  GRPCRoute: grpcRouteKind as KindToken<ConfigObject<CommonRouteSpec>>,
  TLSRoute: tlsRouteKind as KindToken<ConfigObject<CommonRouteSpec>>,
  TCPRoute: tcpRouteKind as KindToken<ConfigObject<CommonRouteSpec>>,
  UDPRoute: udpRouteKind as KindToken<ConfigObject<CommonRouteSpec>>,
};
export const routeKinds = Object.keys(routeTokens) as readonly RouteKind[];

/** `HTTPRoute/namespace/name`: a route of any kind. */
export type RouteId = string;
/** `Gateway/namespace/name`, `ListenerSet/…`, `Service/…` or `ServiceEntry/…`: what routes attach to. */
export type ParentId = string;

export interface Named<K extends string = string> {
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` */
  readonly key: Key;
}

export function splitId<K extends string = string>(id: string): Named<K> {
  const [kind = '', namespace = '', name = ''] = id.split('/');
  return { kind: kind as K, namespace, name, key: `${namespace}/${name}` };
}

export function routeObject(view: View, id: RouteId): ConfigObject<CommonRouteSpec> | undefined {
  const { kind, key } = splitId<RouteKind>(id);
  return view.get(routeTokens[kind], key);
}

export function namespaceOf(object: ConfigObject): string {
  return object.metadata.namespace ?? 'default';
}

/** Origins name kinds without their group; the one name that Istio's API has too carries it. */
export const gatewayOriginKind = `Gateway.${group}`;

export function originIn(id: string, path: string): Origin {
  const { kind, namespace, name } = splitId(id);
  return { kind: kind === 'Gateway' ? gatewayOriginKind : kind, namespace, name, path };
}

/** Oldest first, then by namespace and name: the Gateway API's order of precedence. */
export function ageOrder(object: ConfigObject): string {
  return `${object.metadata.creationTimestamp ?? ''} ${namespaceOf(object)}/${object.metadata.name}`;
}

/** The parent that a reference names, undefined for kinds that nothing attaches to here. */
export function parentOf(ref: ParentRef, namespace: string): ParentId | undefined {
  const kind = ref.kind ?? 'Gateway';
  const refGroup = ref.group ?? group;
  const known =
    (refGroup === group && (kind === 'Gateway' || kind === 'ListenerSet')) ||
    (refGroup === '' && kind === 'Service') ||
    (refGroup === 'networking.istio.io' && kind === 'ServiceEntry');
  return known ? `${kind}/${ref.namespace ?? namespace}/${ref.name}` : undefined;
}

function parentsOf(object: ConfigObject<CommonRouteSpec>): readonly ParentId[] {
  const all = (object.spec?.parentRefs ?? []).flatMap((ref) => parentOf(ref, namespaceOf(object)) ?? []);
  return [...new Set(all)];
}

const byParent = routeKinds.map(
  (kind) => [kind, defineIndex(`gateway-api-${kind}-by-parent`, routeTokens[kind], parentsOf)] as const,
);

/** The routes of some kinds that name a parent, sorted by kind and key. */
export function routesNaming(view: View, parent: ParentId, kinds: readonly string[] = routeKinds): RouteId[] {
  return byParent.flatMap(([kind, index]) =>
    kinds.includes(kind) ? view.list(index, parent).map((key) => `${kind}/${key}`) : [],
  );
}

/** Gateways that take what asks for a default one, under ''. */
export const defaultGateways = defineIndex('gateway-api-default-gateways', gatewayKind, ({ spec }) =>
  spec?.defaultScope === 'All' ? [''] : [],
);

const askingForDefault = routeKinds.map(
  (kind) =>
    [
      kind,
      defineIndex(`gateway-api-${kind}-by-default`, routeTokens[kind], ({ spec }) =>
        spec?.useDefaultGateways === 'All' ? [''] : [],
      ),
    ] as const,
);

/** The routes that every default Gateway is asked to take. */
export function routesForDefault(view: View): RouteId[] {
  return askingForDefault.flatMap(([kind, index]) => view.list(index, '').map((key) => `${kind}/${key}`));
}

/** Every object of a kind, under ''. */
export const allGatewayApiGateways = defineIndex('gateway-api-gateways', gatewayKind, () => ['']);
export const allGatewayClasses = defineIndex('gateway-api-classes', gatewayClassKind, () => ['']);
export const allListenerSets = defineIndex('gateway-api-listener-sets', listenerSetKind, () => ['']);
export const allBackendTlsPolicies = defineIndex('gateway-api-backend-tls', backendTlsPolicyKind, () => ['']);
export const allRoutes = routeKinds.map(
  (kind) => [kind, defineIndex(`gateway-api-${kind}s`, routeTokens[kind], () => [''])] as const,
);

interface RuleWithBackends {
  readonly backendRefs?: readonly { kind?: string; name: string; namespace?: string }[];
  readonly filters?: readonly {
    requestMirror?: { backendRef: { kind?: string; name: string; namespace?: string } };
    externalAuth?: { backendRef: { kind?: string; name: string; namespace?: string } };
  }[];
}

/** Services that a route sends to, `namespace/name`, mirrors and authorization servers included. */
function backendsOf(route: ConfigObject<CommonRouteSpec>): string[] {
  const rules = (route.spec as { rules?: readonly RuleWithBackends[] } | undefined)?.rules ?? [];
  const refs = rules.flatMap(({ backendRefs = [], filters = [] }) => [
    ...backendRefs,
    ...filters.flatMap(({ requestMirror, externalAuth }) => [
      ...(requestMirror ? [requestMirror.backendRef] : []),
      ...(externalAuth ? [externalAuth.backendRef] : []),
    ]),
  ]);
  const services = refs.filter(({ kind = 'Service' }) => kind === 'Service');
  return [...new Set(services.map(({ namespace, name }) => `${namespace ?? namespaceOf(route)}/${name}`))];
}

const byBackend = routeKinds.map(
  (kind) => [kind, defineIndex(`gateway-api-${kind}-by-backend`, routeTokens[kind], backendsOf)] as const,
);

export function routesByBackend(view: View, service: Key): RouteId[] {
  return byBackend.flatMap(([kind, index]) => view.list(index, service).map((key) => `${kind}/${key}`));
}

const meshRoutes = routeKinds.map((kind) =>
  defineIndex(`gateway-api-mesh-${kind}s`, routeTokens[kind], (route) =>
    parentsOf(route).some((parent) => parent.startsWith('Service')) ? [''] : [],
  ),
);

/** Whether any route has a service as parent: where none has, nobody need look. */
export const anyMeshRoute = defineQuery('gateway-api.any-mesh-route', (view): boolean =>
  meshRoutes.some((index) => view.list(index, '').length > 0),
);

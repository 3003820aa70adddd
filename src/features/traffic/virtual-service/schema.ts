/** The public face of the feature: what gateways, capture modes and route decorators need of virtual services. */
export { type GatewayConnection, gatewayConnections } from './connections.ts';
export {
  destinationCluster,
  type HostRoutesOptions,
  hostRoutes,
  planHttpRoutes,
  type RouteContext,
} from './plan.ts';
export { tcpChains } from './tcp-chains.ts';
export {
  type HttpRoute,
  httpRouteSlot,
  inPrecedence,
  meshVirtualServices,
  originIn,
  type VirtualService,
  type VirtualServiceFacts,
  virtualServiceAt,
  virtualServiceFacts,
  virtualServiceKind,
  virtualServiceOn,
  virtualServicesByGateway,
  virtualServicesByHost,
} from './virtual-service.ts';

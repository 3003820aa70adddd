/** The public face of the feature: Ingresses as the Gateways that stand for them. */
export { ingressSettings, isOurIngress } from './classes.ts';
export { ingressGateway, ingressGateways, ingressHosts, ingressServerOrigin } from './gateways.ts';
export { allIngresses, backendsOf, type Ingress, ingressKind } from './kinds.ts';
export { planIngressRoutes } from './routes.ts';

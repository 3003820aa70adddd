/** The public face of the feature: Ingresses as the Gateways that stand for them. */
export { ingressGateway, ingressGateways, ingressHosts, ingressServerOrigin } from './gateways.ts';
export { planIngressRoutes } from './routes.ts';

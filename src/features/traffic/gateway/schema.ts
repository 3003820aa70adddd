/** The public face of the feature. */
export { gatewayKind } from './kinds.ts';
export { boundServers, listenPorts } from './servers.ts';

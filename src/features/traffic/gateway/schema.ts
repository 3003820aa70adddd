/** The public face of the feature. */
export { serverFiles } from './file-secrets.ts';
export { gatewayKind } from './kinds.ts';
export { bindAddresses, boundServers, listenPorts } from './servers.ts';
export { type GatewayTopology, gatewayTopology } from './topology.ts';

/** The public face of the feature: what decides for services inside the mesh. */
export { policyFiles } from './backend-tls.ts';
export { meshConnections, meshHttpRoutes } from './mesh.ts';

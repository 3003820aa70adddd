/** The public face of the feature: what decides for services inside the mesh. */
export { meshConnections, meshHttpRoutes } from './mesh.ts';

/** The public face of the feature: what decides for services inside the mesh. */

export { meshConnections, meshHttpRoutes } from './mesh.ts';
export { policyFiles } from './system-anchors.ts';

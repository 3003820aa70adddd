import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^defaultConfig$/, "headers, limits and paths are treated as the mesh's proxy configuration says"],
]);

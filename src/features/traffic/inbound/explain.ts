import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^$/, 'made for the mesh as a whole: no object of a user asks for it'],
]);

import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/OSTRIA_EXPLAIN_REFUSALS$/, 'whether refusals tell callers inside the mesh who decided'],
]);

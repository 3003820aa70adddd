import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [[/^$/, 'a port that no service declares']]);

import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [[/^accessLogFile$/, 'the access log of the mesh']]);

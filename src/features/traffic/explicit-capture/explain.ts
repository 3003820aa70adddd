import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^explicitCapture$/, 'a loopback listener that the supervisor allocated for this workload'],
]);

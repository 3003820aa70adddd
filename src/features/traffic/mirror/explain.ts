import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [/^spec\.http\[(\d+)\]\.mirrors?$/, 'HTTP route $1 sends copies; their answers are dropped'],
]);

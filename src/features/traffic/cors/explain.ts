import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [/^spec\.http\[(\d+)\]\.corsPolicy$/, 'HTTP route $1 answers preflights by its CORS policy'],
]);

import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('Gateway', [
  [/^spec\.servers\[(\d+)\]$/, 'server $1 of the gateway listens here and owns the host'],
]);

import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [/^spec\.http\[(\d+)\]\.fault$/, 'HTTP route $1 injects a fault on purpose'],
]);

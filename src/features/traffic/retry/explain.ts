import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [/^spec\.http\[(\d+)\]\.retries$/, 'HTTP route $1 says when a request is sent again'],
]);

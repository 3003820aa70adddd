import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('HTTPRoute', [
  [
    /^spec\.rules\[(\d+)\]\.sessionPersistence$/,
    'rule $1 keeps a client at the endpoint that answered it first',
  ],
]);

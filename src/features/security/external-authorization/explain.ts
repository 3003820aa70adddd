import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('HTTPRoute', [
  [/^spec\.rules\[(\d+)\]\.filters\[\d+\]$/, 'rule $1 asks an authorization server first'],
  [
    /^spec\.rules\[(\d+)\]\.backendRefs\[(\d+)\]\.filters\[\d+\]$/,
    'backend $2 of rule $1 asks an authorization server first',
  ],
]);

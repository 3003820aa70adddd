import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('AuthorizationPolicy', [
  [/^spec\.rules\[(\d+)\]$/, 'rule $1 matched the call: an ALLOW rule lets it in, a DENY rule refuses it'],
  [
    /^$/,
    'decides who may call the workload: CUSTOM before DENY before ALLOW; where ALLOW policies apply, what none of them names is refused',
  ],
]);

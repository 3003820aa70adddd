import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('RequestAuthentication', [
  [
    /^spec\.jwtRules\[(\d+)\]$/,
    'rule $1 says whose tokens are valid: a request with another token is refused, one without a token goes on',
  ],
  [/^$/, 'says whose tokens are valid here'],
]);

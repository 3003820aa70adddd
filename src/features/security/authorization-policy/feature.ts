import type { Feature } from '../../../plan/feature.ts';
import { describeChain, httpFilters, networkFilters } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain, decorateListener } from './plan.ts';
import { authorizationPolicyProblems } from './problems.ts';

export const authorizationPolicy: Feature = {
  name: 'security/authorization-policy',
  kinds: ['AuthorizationPolicy'],
  explain,
  decorate: { chain: decorateChain, listener: decorateListener },
  emit: { httpFilters, networkFilters, chain: describeChain },
  problems: authorizationPolicyProblems,
};

import type { Feature } from '../../../plan/feature.ts';
import { describeChain, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';
import { requestAuthenticationProblems } from './problems.ts';

export const requestAuthentication: Feature = {
  name: 'security/request-authentication',
  kinds: ['RequestAuthentication'],
  explain,
  decorate: { chain: decorateChain },
  emit: { httpFilters, chain: describeChain },
  problems: requestAuthenticationProblems,
};

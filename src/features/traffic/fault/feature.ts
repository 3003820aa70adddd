import type { Feature } from '../../../plan/feature.ts';
import { emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute } from './plan.ts';
import { faultProblems } from './problems.ts';

export const fault: Feature = {
  name: 'traffic/fault',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute },
  problems: faultProblems,
  emit: { route: emitRoute, httpFilters },
};

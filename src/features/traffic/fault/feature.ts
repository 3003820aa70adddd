import type { Feature } from '../../../plan/feature.ts';
import { emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute } from './plan.ts';

export const fault: Feature = {
  name: 'traffic/fault',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute },
  emit: { route: emitRoute, httpFilters },
};

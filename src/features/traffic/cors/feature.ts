import type { Feature } from '../../../plan/feature.ts';
import { emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute } from './plan.ts';

export const cors: Feature = {
  name: 'traffic/cors',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute },
  emit: { route: emitRoute, httpFilters },
};

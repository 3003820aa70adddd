import type { Feature } from '../../../plan/feature.ts';
import { emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';

export const sessionPersistence: Feature = {
  name: 'traffic/session-persistence',
  kinds: [],
  explain,
  emit: { route: emitRoute, httpFilters },
};

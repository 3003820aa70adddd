import type { Feature } from '../../../plan/feature.ts';
import { emitCluster, emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';

export const inference: Feature = {
  name: 'traffic/inference',
  kinds: ['InferencePool'],
  explain,
  emit: { cluster: emitCluster, route: emitRoute, httpFilters },
};

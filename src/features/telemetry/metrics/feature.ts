import type { Feature } from '../../../plan/feature.ts';
import { accessLogs } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';

export const metrics: Feature = {
  name: 'telemetry/metrics',
  kinds: [],
  explain,
  decorate: { chain: decorateChain },
  emit: { accessLogs },
};

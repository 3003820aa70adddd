import type { Feature } from '../../../plan/feature.ts';
import { connectionManager } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';

export const refusals: Feature = {
  name: 'telemetry/refusals',
  kinds: [],
  explain,
  decorate: { chain: decorateChain },
  emit: { connectionManager },
};

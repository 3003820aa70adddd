import type { Feature } from '../../../plan/feature.ts';
import { setHttp10 } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';

export const http10: Feature = {
  name: 'traffic/http10',
  kinds: [],
  explain,
  decorate: { chain: decorateChain },
  emit: { connectionManager: setHttp10 },
};

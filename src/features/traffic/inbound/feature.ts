import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { inboundClusters, inboundListeners } from './plan.ts';

export const inbound: Feature = {
  name: 'traffic/inbound',
  kinds: [],
  explain,
  clusters: [inboundClusters],
  listeners: [inboundListeners],
};

import type { Feature } from '../../../plan/feature.ts';
import { inboundClusters, inboundListeners } from './plan.ts';

export const inbound: Feature = {
  name: 'traffic/inbound',
  kinds: [],
  clusters: [inboundClusters],
  listeners: [inboundListeners],
};

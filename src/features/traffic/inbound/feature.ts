import type { Feature } from '../../../plan/feature.ts';
import { inboundClusters } from './clusters.ts';
import { explain } from './explain.ts';
import { boundInboundListeners, inboundListeners } from './plan.ts';

export const inbound: Feature = {
  name: 'traffic/inbound',
  kinds: [],
  explain,
  clusters: [inboundClusters],
  listeners: [inboundListeners, boundInboundListeners],
};

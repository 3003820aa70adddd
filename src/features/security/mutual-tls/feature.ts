import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { decorateCluster } from './plan.ts';
import { limitChain, limitCluster } from './tls-limits.ts';

export const mutualTls: Feature = {
  name: 'security/mutual-tls',
  kinds: [],
  explain,
  decorate: {
    chain: limitChain,
    cluster(view, plan) {
      decorateCluster(view, plan);
      limitCluster(view, plan);
    },
  },
};

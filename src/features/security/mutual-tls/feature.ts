import type { Feature } from '../../../plan/feature.ts';
import { decorateCluster } from './plan.ts';

export const mutualTls: Feature = {
  name: 'security/mutual-tls',
  kinds: [],
  decorate: { cluster: decorateCluster },
};

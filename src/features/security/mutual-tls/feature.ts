import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { decorateCluster } from './plan.ts';

export const mutualTls: Feature = {
  name: 'security/mutual-tls',
  kinds: [],
  explain,
  decorate: { cluster: decorateCluster },
};

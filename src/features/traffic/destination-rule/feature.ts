import type { Feature } from '../../../plan/feature.ts';
import { decorateChain } from './connections.ts';
import { emitCluster } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateCluster } from './plan.ts';
import { destinationRuleProblems } from './problems.ts';

export const destinationRule: Feature = {
  name: 'traffic/destination-rule',
  kinds: ['DestinationRule'],
  explain,
  decorate: { cluster: decorateCluster, chain: decorateChain },
  emit: { cluster: emitCluster },
  problems: destinationRuleProblems,
};

import type { Feature } from '../../../plan/feature.ts';
import { networkFilters, terminalFilter } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';
import { protocolFilterProblems } from './problems.ts';

export const protocolFilter: Feature = {
  name: 'traffic/protocol-filter',
  kinds: ['Service', 'ServiceEntry'],
  explain,
  decorate: { chain: decorateChain },
  emit: { networkFilters, terminalFilter },
  problems: protocolFilterProblems,
};

import type { Feature } from '../../../plan/feature.ts';
import { accessLogs, listenerLog } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain } from './plan.ts';

export const accessLog: Feature = {
  name: 'telemetry/access-log',
  kinds: [],
  explain,
  decorate: { chain: decorateChain },
  emit: { accessLogs, listener: listenerLog },
};

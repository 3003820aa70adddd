import type { Feature } from '../../../plan/feature.ts';
import { accessLogs } from './envoy.ts';
import { explain } from './explain.ts';
import { addPeer, takePeer } from './peer-header.ts';
import { decorateChain, decorateVirtualHost } from './plan.ts';

export const metrics: Feature = {
  name: 'telemetry/metrics',
  kinds: [],
  explain,
  decorate: { chain: decorateChain, virtualHost: decorateVirtualHost },
  emit: { accessLogs, route: addPeer, virtualHost: addPeer, httpFilters: takePeer },
};

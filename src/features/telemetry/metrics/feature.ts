import type { Feature } from '../../../plan/feature.ts';
import { emitCodeStats, omitCodeStats } from './code-stats.ts';
import { accessLogs } from './envoy.ts';
import { explain } from './explain.ts';
import { addPeer, keepPeer } from './peer-header.ts';
import { decorateChain, decorateVirtualHost } from './plan.ts';
import { emitStatName, nameStatistics } from './stat-names.ts';

export const metrics: Feature = {
  name: 'telemetry/metrics',
  kinds: [],
  explain,
  decorate: {
    chain: (view, plan) => {
      decorateChain(view, plan);
      omitCodeStats(view, plan);
    },
    virtualHost: decorateVirtualHost,
    cluster: nameStatistics,
  },
  emit: {
    accessLogs,
    route: addPeer,
    virtualHost: addPeer,
    httpFilters: keepPeer,
    cluster: emitStatName,
    connectionManager: emitCodeStats,
  },
};

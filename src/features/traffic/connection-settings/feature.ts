import type { Feature } from '../../../plan/feature.ts';
import { setCluster, setConnectionManager, setListener } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain, decorateCluster, decorateListener } from './plan.ts';
import { proxyConfigProblems } from './problems.ts';

export const connectionSettings: Feature = {
  name: 'traffic/connection-settings',
  kinds: ['ProxyConfig'],
  explain,
  problems: proxyConfigProblems,
  decorate: { chain: decorateChain, cluster: decorateCluster, listener: decorateListener },
  emit: { connectionManager: setConnectionManager, cluster: setCluster, listener: setListener },
};

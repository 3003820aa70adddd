import type { Feature } from '../../../plan/feature.ts';
import { setCluster, setConnectionManager, setListener, setRoute } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateChain, decorateCluster, decorateListener, decorateRoute } from './plan.ts';
import { proxyConfigProblems } from './problems.ts';

export const connectionSettings: Feature = {
  name: 'traffic/connection-settings',
  kinds: ['ProxyConfig'],
  explain,
  problems: proxyConfigProblems,
  decorate: {
    chain: decorateChain,
    cluster: decorateCluster,
    listener: decorateListener,
    route: decorateRoute,
  },
  emit: {
    connectionManager: setConnectionManager,
    cluster: setCluster,
    listener: setListener,
    route: setRoute,
  },
};

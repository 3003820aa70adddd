import type { Feature } from '../../../plan/feature.ts';
import { decorateChainWithAuthorizers } from './authorizers.ts';
import { decorateCluster } from './backend-tls.ts';
import { explain } from './explain.ts';
import { optionProblems } from './option-problems.ts';
import { gatewayApiListeners } from './plan-listeners.ts';
import { gatewayApiRoutes } from './plan-routes.ts';
import { poolClusters } from './pool-clusters.ts';
import { gatewayApiSecrets } from './secrets.ts';
import { statuses } from './status/statuses.ts';
import { decorateWithBudget } from './traffic-policy.ts';
import { udpClusters, udpListeners } from './udp.ts';

export const gatewayApi: Feature = {
  name: 'traffic/gateway-api',
  kinds: [],
  explain,
  problems: optionProblems,
  listeners: [gatewayApiListeners, udpListeners],
  clusters: [udpClusters, poolClusters],
  routes: [gatewayApiRoutes],
  secrets: [gatewayApiSecrets],
  decorate: {
    chain: decorateChainWithAuthorizers,
    cluster(view, plan) {
      decorateCluster(view, plan);
      decorateWithBudget(view, plan);
    },
  },
  statuses,
};

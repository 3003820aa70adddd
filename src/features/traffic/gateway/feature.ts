import type { Feature } from '../../../plan/feature.ts';
import { sniClusters, sniRouting } from './auto-passthrough.ts';
import { explain } from './explain.ts';
import { quicTwins } from './http3.ts';
import { ingressStatus } from './ingress-status.ts';
import { gatewayListeners } from './listeners.ts';
import { gatewayProblems } from './problems.ts';
import { gatewayRoutes } from './routes.ts';
import { gatewaySecrets } from './secrets.ts';

export const gateway: Feature = {
  name: 'traffic/gateway',
  kinds: ['Gateway', 'Secret'],
  clusters: [sniClusters],
  explain,
  listeners: [gatewayListeners, quicTwins],
  routes: [gatewayRoutes],
  secrets: [gatewaySecrets],
  emit: { networkFilters: sniRouting },
  problems: gatewayProblems,
  statuses: [ingressStatus],
};

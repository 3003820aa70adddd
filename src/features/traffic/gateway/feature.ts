import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { gatewayListeners } from './listeners.ts';
import { gatewayProblems } from './problems.ts';
import { gatewayRoutes } from './routes.ts';
import { gatewaySecrets } from './secrets.ts';

export const gateway: Feature = {
  name: 'traffic/gateway',
  kinds: ['Gateway', 'Secret'],
  explain,
  listeners: [gatewayListeners],
  routes: [gatewayRoutes],
  secrets: [gatewaySecrets],
  problems: gatewayProblems,
};

import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { addressListeners, catchAllListeners, sharedPortListeners } from './listeners.ts';
import { ownListeners, ownTables } from './own-listeners.ts';
import { catchAllClusters, outboundRoutes } from './plan.ts';

export const outbound: Feature = {
  name: 'traffic/outbound',
  kinds: [],
  explain,
  clusters: [catchAllClusters],
  listeners: [catchAllListeners, sharedPortListeners, addressListeners, ownListeners],
  routes: [outboundRoutes, ownTables],
};

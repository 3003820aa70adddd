import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import {
  explicitInboundClusters,
  explicitInboundListeners,
  explicitListeners,
  explicitRoutesShaper,
  forwardProxyListener,
  forwardProxyRoutesShaper,
} from './plan.ts';

export const explicitCapture: Feature = {
  name: 'traffic/explicit-capture',
  kinds: [],
  explain,
  clusters: [explicitInboundClusters],
  listeners: [explicitListeners, explicitInboundListeners, forwardProxyListener],
  routes: [explicitRoutesShaper, forwardProxyRoutesShaper],
};

import type { Feature } from '../../../plan/feature.ts';
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
  clusters: [explicitInboundClusters],
  listeners: [explicitListeners, explicitInboundListeners, forwardProxyListener],
  routes: [explicitRoutesShaper, forwardProxyRoutesShaper],
};

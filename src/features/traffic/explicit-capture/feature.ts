import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { forwardProxyListener, forwardProxyRoutesShaper } from './forward-proxy.ts';
import { explicitInboundClusters, explicitInboundListeners } from './inbound.ts';
import { explicitListeners, explicitRoutesShaper } from './outbound.ts';

export const explicitCapture: Feature = {
  name: 'traffic/explicit-capture',
  kinds: [],
  explain,
  clusters: [explicitInboundClusters],
  listeners: [explicitListeners, explicitInboundListeners, forwardProxyListener],
  routes: [explicitRoutesShaper, forwardProxyRoutesShaper],
};

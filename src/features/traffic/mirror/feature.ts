import type { Feature } from '../../../plan/feature.ts';
import { emitRoute } from './envoy.ts';
import { decorateRoute, decorateVirtualHost } from './plan.ts';

export const mirror: Feature = {
  name: 'traffic/mirror',
  kinds: ['VirtualService'],
  decorate: { route: decorateRoute, virtualHost: decorateVirtualHost },
  emit: { route: emitRoute },
};

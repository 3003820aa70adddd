import type { Feature } from '../../../plan/feature.ts';
import { emitRoute } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute, decorateVirtualHost } from './plan.ts';

export const mirror: Feature = {
  name: 'traffic/mirror',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute, virtualHost: decorateVirtualHost },
  emit: { route: emitRoute },
};

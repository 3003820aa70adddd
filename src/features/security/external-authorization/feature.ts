import type { Feature } from '../../../plan/feature.ts';
import { emitRoute, httpFilters } from './envoy.ts';
import { explain } from './explain.ts';

export const externalAuthorization: Feature = {
  name: 'security/external-authorization',
  kinds: [],
  explain,
  emit: { route: emitRoute, httpFilters },
};

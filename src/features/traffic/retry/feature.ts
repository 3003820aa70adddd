import type { Feature } from '../../../plan/feature.ts';
import { emitRoute } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute } from './plan.ts';
import { retryProblems } from './problems.ts';

export const retry: Feature = {
  name: 'traffic/retry',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute },
  problems: retryProblems,
  emit: { route: emitRoute },
};

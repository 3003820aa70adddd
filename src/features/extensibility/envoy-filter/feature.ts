import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { patches } from './output.ts';
import { envoyFilterProblems } from './problems.ts';

export const envoyFilter: Feature = {
  name: 'extensibility/envoy-filter',
  kinds: ['EnvoyFilter'],
  explain,
  patches,
  problems: envoyFilterProblems,
};

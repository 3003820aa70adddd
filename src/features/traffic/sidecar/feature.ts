import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { sidecarProblems } from './problems.ts';

/** What a Sidecar lets in is decided where services and virtual services are looked up: plan/sidecar-scope.ts. */
export const sidecar: Feature = {
  name: 'traffic/sidecar',
  kinds: ['Sidecar'],
  explain,
  problems: sidecarProblems,
};

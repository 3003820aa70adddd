import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { virtualServiceProblems } from './problems.ts';

export const virtualService: Feature = {
  name: 'traffic/virtual-service',
  kinds: ['VirtualService'],
  explain,
  problems: virtualServiceProblems,
};

import type { Feature } from '../../../plan/feature.ts';
import { virtualServiceProblems } from './problems.ts';

export const virtualService: Feature = {
  name: 'traffic/virtual-service',
  kinds: ['VirtualService'],
  problems: virtualServiceProblems,
};

import type { Feature } from '../../../plan/feature.ts';

export const virtualService: Feature = {
  name: 'traffic/virtual-service',
  kinds: ['VirtualService'],
};

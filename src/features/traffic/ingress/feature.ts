import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';

/** Ingresses are planned by the gateway feature, as the Gateways that stand for them. */
export const ingress: Feature = {
  name: 'traffic/ingress',
  kinds: [],
  explain,
};

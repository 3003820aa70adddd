import type { Feature } from '../../../plan/feature.ts';
import { fileSecrets as shaper } from './plan.ts';

export const fileSecrets: Feature = {
  name: 'traffic/file-secrets',
  kinds: [],
  secrets: [shaper],
};

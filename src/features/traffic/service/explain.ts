import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('Service', [
  [/^$/, 'the Service itself: its ports, endpoints and defaults'],
]);

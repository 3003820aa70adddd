import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('InferencePool', [
  [/^spec\.endpointPickerRef$/, 'the pool’s endpoint picker chooses the endpoint'],
  [/^spec$/, 'the pool’s pods, as its selector finds them'],
]);

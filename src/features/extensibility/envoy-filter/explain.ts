import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('EnvoyFilter', [
  [/^spec\.configPatches\[(\d+)\]/, 'patch $1 of this EnvoyFilter changed what the mesh had made'],
]);

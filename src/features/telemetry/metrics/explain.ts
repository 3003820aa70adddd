import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^defaultProviders\.metrics$/, 'the standard metrics of the mesh'],
  [/^defaultConfig\.proxyStatsMatcher$/, 'which statistics Envoy keeps'],
]);

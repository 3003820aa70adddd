import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^defaultConfig\.proxyMetadata\.ISTIO_META_HTTP10$/, 'HTTP/1.0 is taken as well'],
]);

import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^(enableAutoMtls|defaultMtlsMode)$/, "mutual TLS between sidecars, by the mesh's $1"],
]);

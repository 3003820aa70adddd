import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('MeshConfig', [
  [/^outboundTrafficPolicy/, "nobody configured this host: the mesh's outbound traffic policy decides"],
  [/^proxyListenPort$/, 'where the kernel sends outbound connections'],
]);

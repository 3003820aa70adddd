import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('PeerAuthentication', [
  [
    /^spec\.mtls$/,
    'what callers of the workload must bring: mutual TLS (STRICT), either (PERMISSIVE), or none (DISABLE)',
  ],
  [
    /^spec\.portLevelMtls\.(\d+)$/,
    'what callers of workload port $1 must bring, before what holds for the workload',
  ],
]);

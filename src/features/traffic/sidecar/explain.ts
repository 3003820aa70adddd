import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('Sidecar', [
  [/^spec\.outboundTrafficPolicy/, 'nobody configured this host: the Sidecar of the workload decides'],
  [/^spec\.egress\[(\d+)\]/, 'egress listener $1 of the workload’s Sidecar'],
  [/^spec\.ingress\[(\d+)\]/, 'ingress listener $1 of the workload’s Sidecar describes the port'],
  [
    /^spec\.inboundConnectionPool/,
    'limits that the workload’s Sidecar sets for connections to the application',
  ],
]);

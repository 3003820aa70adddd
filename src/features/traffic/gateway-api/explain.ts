import type { Origin } from '../../../config/origin.ts';
import { explainBy } from '../../../plan/explain.ts';
import { gatewayOriginKind } from './kinds.ts';

const rules = [
  [
    /^spec\.rules\[(\d+)\]\.matches\[(\d+)\]$/,
    'match $2 of rule $1 took the request: of all that hold, the most specific decides, then the oldest route',
  ],
  [/^spec\.rules\[(\d+)\]\.backendRefs\[(\d+)\]$/, 'backend $2 of rule $1, chosen by weight'],
  [/^spec\.rules\[(\d+)\]\.backendRefs$/, 'the backends of rule $1, chosen by weight'],
  [/^spec\.rules\[(\d+)\]\.retry$/, 'rule $1 asks for retries'],
  [/^spec\.rules\[(\d+)\]\.filters$/, 'a filter of rule $1'],
  [
    /^spec\.rules\[(\d+)\]$/,
    'rule $1 took the request: of all that hold, the most specific decides, then the oldest route',
  ],
] as const;
const listeners = [
  [/^spec\.listeners\[(.+)\]$/, 'listener $1 listens here and owns the host'],
  [/^spec\.listeners$/, 'the listeners of the Gateway decide which hosts are known'],
] as const;

const tables = [
  explainBy(gatewayOriginKind, listeners),
  explainBy('ListenerSet', listeners),
  ...['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'].map((kind) => explainBy(kind, rules)),
  explainBy('XBackendTrafficPolicy', [
    [/^spec\.retryConstraint$/, 'the policy limits retries to the service'],
    [/^spec\.sessionPersistence$/, 'the policy keeps sessions with the service'],
  ]),
  explainBy('BackendTLSPolicy', [[/^spec\.validation$/, 'the policy secures connections to the service']]),
];

export function explain(origin: Origin): string | undefined {
  for (const table of tables) {
    const words = table(origin);
    if (words !== undefined) return words;
  }
  return undefined;
}

import type { SourceObject } from '../analyzer.ts';
import { tokensNotRequired, wideRules, workloadsWithoutPolicy } from './authorization-checks.ts';
import { gatewayServers, patches } from './edge-checks.ts';
import { createView, type Finding, findingLevels, type SecurityFacts } from './finding.ts';
import { gatewayCertificates, kubernetesListeners } from './gateway-checks.ts';
import {
  certificates,
  fetches,
  listeners,
  outbound,
  processes,
  workloadCertificates,
} from './installation-checks.ts';
import { openPorts, uncheckedServers } from './mutual-tls-checks.ts';

const checks = [
  ...[openPorts, uncheckedServers, workloadsWithoutPolicy, wideRules, tokensNotRequired],
  ...[gatewayServers, kubernetesListeners, gatewayCertificates, patches],
  ...[outbound, processes, fetches, listeners, certificates, workloadCertificates],
];

/** Kinds that are looked at, as `Kind.group`. */
export const checkedKinds: ReadonlySet<string> = new Set([
  'PeerAuthentication.security.istio.io',
  'AuthorizationPolicy.security.istio.io',
  'RequestAuthentication.security.istio.io',
  'DestinationRule.networking.istio.io',
  'Gateway.networking.istio.io',
  'Gateway.gateway.networking.k8s.io',
  'HTTPRoute.gateway.networking.k8s.io',
  'EnvoyFilter.networking.istio.io',
  'Service',
  'Pod',
  'Secret',
]);

/** Every spot that is more open than it need be, the worst first. Fields of a wrong type are the admission's business: they make no finding. */
export function checkSecurity(sources: readonly SourceObject[], facts: SecurityFacts): Finding[] {
  const view = createView(sources, facts);
  return checks
    .flatMap((check) => check(view))
    .sort(
      (a, b) =>
        findingLevels.indexOf(b.level) - findingLevels.indexOf(a.level) ||
        (a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0),
    );
}

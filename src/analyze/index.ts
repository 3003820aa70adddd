import type { Analyzer } from './analyzer.ts';
import { alphaAnnotationAnalyzer, annotationAnalyzer } from './analyzers/annotations.ts';
import { applicationUidAnalyzer } from './analyzers/application-uid.ts';
import { authorizationPolicyAnalyzer } from './analyzers/authorization-policies.ts';
import { blockedCidrsAnalyzer } from './analyzers/blocked-cidrs.ts';
import { conditionAnalyzer } from './analyzers/conditions.ts';
import { conflictingGatewayAnalyzer } from './analyzers/conflicting-gateways.ts';
import { conflictingMeshHostsAnalyzer } from './analyzers/conflicting-mesh-hosts.ts';
import { deploymentServiceAnalyzer } from './analyzers/deployment-services.ts';
import { deprecationAnalyzer } from './analyzers/deprecation.ts';
import { caCertificateAnalyzer } from './analyzers/destination-rule-ca.ts';
import { destinationRuleSubsetAnalyzer } from './analyzers/destination-rule-subsets.ts';
import { envoyPatchAnalyzer } from './analyzers/envoy-filter-patches.ts';
import { externalControlPlaneAnalyzer } from './analyzers/external-control-plane.ts';
import { gatewayApiDefinitionAnalyzer } from './analyzers/gateway-api-definitions.ts';
import { gatewayCertificateAnalyzer } from './analyzers/gateway-certificates.ts';
import { gatewayPortAnalyzer } from './analyzers/gateway-ports.ts';
import { gatewaySecretAnalyzer } from './analyzers/gateway-secrets.ts';
import { imageAutoAnalyzer } from './analyzers/image-auto.ts';
import { injectionAnalyzer } from './analyzers/injection.ts';
import { jwtClaimRouteAnalyzer } from './analyzers/jwt-claim-routes.ts';
import { kubernetesGatewaySelectorAnalyzer } from './analyzers/kubernetes-gateway-selectors.ts';
import { meshNetworksAnalyzer } from './analyzers/mesh-networks.ts';
import { meshConfigAnalyzer, meshNetworksSchemaAnalyzer } from './analyzers/mesh-schema.ts';
import { multiClusterServiceAnalyzer } from './analyzers/multi-cluster-services.ts';
import { proxyImageAnalyzer } from './analyzers/proxy-images.ts';
import { otherSchemaAnalyzer, schemaAnalyzers } from './analyzers/schema.ts';
import { serviceEntryAnalyzer, serviceEntryProtocolAnalyzer } from './analyzers/service-entries.ts';
import { portNameAnalyzer } from './analyzers/service-port-names.ts';
import { sidecarSelectorAnalyzer } from './analyzers/sidecar-selectors.ts';
import {
  telemetryDefaultSelectorAnalyzer,
  telemetryLightstepAnalyzer,
  telemetryProviderAnalyzer,
  telemetrySelectorAnalyzer,
} from './analyzers/telemetry.ts';
import { unreachableRuleAnalyzer } from './analyzers/unreachable-rules.ts';
import { destinationHostAnalyzer } from './analyzers/virtual-service-destinations.ts';
import { virtualServiceGatewayAnalyzer } from './analyzers/virtual-service-gateways.ts';
import { virtualServiceSubsetAnalyzer } from './analyzers/virtual-service-subsets.ts';
import { webhookAnalyzer } from './analyzers/webhook.ts';
import { duplicateRuleAnalyzer, failoverAnalyzer, tlsMismatchAnalyzer } from './own/destination-rules.ts';
import { ambiguousHostAnalyzer } from './own/hosts.ts';
import { meshRouteAnalyzer } from './own/mesh-routes.ts';
import { claimsAnalyzer, httpFieldsAnalyzer } from './own/policies.ts';
import { unreadProtocolAnalyzer } from './own/protocols.ts';
import { retryAnalyzer } from './own/retries.ts';
import { servedCertificateAnalyzer } from './own/served-certificates.ts';

/** Every analyzer: Istio's, and our own. */
export const analyzers: readonly Analyzer[] = [
  annotationAnalyzer,
  alphaAnnotationAnalyzer,
  applicationUidAnalyzer,
  authorizationPolicyAnalyzer,
  blockedCidrsAnalyzer,
  conditionAnalyzer,
  conflictingGatewayAnalyzer,
  conflictingMeshHostsAnalyzer,
  deploymentServiceAnalyzer,
  deprecationAnalyzer,
  caCertificateAnalyzer,
  destinationRuleSubsetAnalyzer,
  envoyPatchAnalyzer,
  externalControlPlaneAnalyzer,
  gatewayApiDefinitionAnalyzer,
  gatewayCertificateAnalyzer,
  gatewayPortAnalyzer,
  gatewaySecretAnalyzer,
  imageAutoAnalyzer,
  injectionAnalyzer,
  jwtClaimRouteAnalyzer,
  kubernetesGatewaySelectorAnalyzer,
  meshNetworksAnalyzer,
  multiClusterServiceAnalyzer,
  proxyImageAnalyzer,
  serviceEntryAnalyzer,
  serviceEntryProtocolAnalyzer,
  portNameAnalyzer,
  sidecarSelectorAnalyzer,
  telemetryProviderAnalyzer,
  telemetrySelectorAnalyzer,
  telemetryDefaultSelectorAnalyzer,
  telemetryLightstepAnalyzer,
  destinationHostAnalyzer,
  virtualServiceGatewayAnalyzer,
  virtualServiceSubsetAnalyzer,
  webhookAnalyzer,
  unreachableRuleAnalyzer,
  otherSchemaAnalyzer,
  meshConfigAnalyzer,
  meshNetworksSchemaAnalyzer,
  ...schemaAnalyzers,
  ambiguousHostAnalyzer,
  claimsAnalyzer,
  duplicateRuleAnalyzer,
  failoverAnalyzer,
  meshRouteAnalyzer,
  httpFieldsAnalyzer,
  retryAnalyzer,
  servedCertificateAnalyzer,
  tlsMismatchAnalyzer,
  unreadProtocolAnalyzer,
];

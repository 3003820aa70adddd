import type { Analyzer } from './analyzer.ts';
import { conflictingGatewayAnalyzer } from './analyzers/conflicting-gateways.ts';
import { caCertificateAnalyzer } from './analyzers/destination-rule-ca.ts';
import { destinationRuleSubsetAnalyzer } from './analyzers/destination-rule-subsets.ts';
import { envoyPatchAnalyzer } from './analyzers/envoy-filter-patches.ts';
import { gatewayPortAnalyzer } from './analyzers/gateway-ports.ts';
import { injectionAnalyzer } from './analyzers/injection.ts';
import { schemaAnalyzers } from './analyzers/schema.ts';
import { portNameAnalyzer } from './analyzers/service-port-names.ts';
import { destinationHostAnalyzer } from './analyzers/virtual-service-destinations.ts';
import { virtualServiceGatewayAnalyzer } from './analyzers/virtual-service-gateways.ts';
import { virtualServiceSubsetAnalyzer } from './analyzers/virtual-service-subsets.ts';

/** Every analyzer. */
export const analyzers: readonly Analyzer[] = [
  caCertificateAnalyzer,
  conflictingGatewayAnalyzer,
  destinationHostAnalyzer,
  destinationRuleSubsetAnalyzer,
  envoyPatchAnalyzer,
  gatewayPortAnalyzer,
  injectionAnalyzer,
  portNameAnalyzer,
  virtualServiceGatewayAnalyzer,
  virtualServiceSubsetAnalyzer,
  ...schemaAnalyzers,
];

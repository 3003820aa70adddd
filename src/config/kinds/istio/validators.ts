import type { Kind } from '../../kind.ts';
import { validatePeerAuthentication, validateRequestAuthentication } from './validate-authentication.ts';
import { validateAuthorizationPolicy } from './validate-authorization-policy.ts';
import { validateDestinationRule } from './validate-destination-rule.ts';
import { validateEnvoyFilter } from './validate-envoy-filter.ts';
import { validateTrafficExtension, validateWasmPlugin } from './validate-extensions.ts';
import { validateGateway } from './validate-gateway.ts';
import { validateProxyConfig } from './validate-proxy-config.ts';
import { validateServiceEntry } from './validate-service-entry.ts';
import { validateSidecar } from './validate-sidecar.ts';
import { validateTelemetry } from './validate-telemetry.ts';
import { validateVirtualService } from './validate-virtual-service.ts';
import { validateWorkloadEntry, validateWorkloadGroup } from './validate-workload.ts';

/** Semantic validators by `Kind.group`. */
export const istioValidators: Readonly<Record<string, Kind['validate']>> = {
  'VirtualService.networking.istio.io': validateVirtualService,
  'DestinationRule.networking.istio.io': validateDestinationRule,
  'Gateway.networking.istio.io': validateGateway,
  'ServiceEntry.networking.istio.io': validateServiceEntry,
  'Sidecar.networking.istio.io': validateSidecar,
  'WorkloadEntry.networking.istio.io': validateWorkloadEntry,
  'WorkloadGroup.networking.istio.io': validateWorkloadGroup,
  'EnvoyFilter.networking.istio.io': validateEnvoyFilter,
  'ProxyConfig.networking.istio.io': validateProxyConfig,
  'AuthorizationPolicy.security.istio.io': validateAuthorizationPolicy,
  'PeerAuthentication.security.istio.io': validatePeerAuthentication,
  'RequestAuthentication.security.istio.io': validateRequestAuthentication,
  'Telemetry.telemetry.istio.io': validateTelemetry,
  'WasmPlugin.extensions.istio.io': validateWasmPlugin,
  'TrafficExtension.extensions.istio.io': validateTrafficExtension,
};

import type { Feature } from '../plan/feature.ts';
import { envoyFilter } from './extensibility/envoy-filter/feature.ts';
import { authorizationPolicy } from './security/authorization-policy/feature.ts';
import { externalAuthorization } from './security/external-authorization/feature.ts';
import { mutualTls } from './security/mutual-tls/feature.ts';
import { peerAuthentication } from './security/peer-authentication/feature.ts';
import { requestAuthentication } from './security/request-authentication/feature.ts';
import { accessLog } from './telemetry/access-log/feature.ts';
import { metrics } from './telemetry/metrics/feature.ts';
import { refusals } from './telemetry/refusals/feature.ts';
import { connectionSettings } from './traffic/connection-settings/feature.ts';
import { cors } from './traffic/cors/feature.ts';
import { destinationRule } from './traffic/destination-rule/feature.ts';
import { explicitCapture } from './traffic/explicit-capture/feature.ts';
import { fault } from './traffic/fault/feature.ts';
import { fileSecrets } from './traffic/file-secrets/feature.ts';
import { gateway } from './traffic/gateway/feature.ts';
import { gatewayApi } from './traffic/gateway-api/feature.ts';
import { http10 } from './traffic/http10/feature.ts';
import { inbound } from './traffic/inbound/feature.ts';
import { inference } from './traffic/inference/feature.ts';
import { ingress } from './traffic/ingress/feature.ts';
import { mirror } from './traffic/mirror/feature.ts';
import { outbound } from './traffic/outbound/feature.ts';
import { protocolFilter } from './traffic/protocol-filter/feature.ts';
import { retry } from './traffic/retry/feature.ts';
import { service } from './traffic/service/feature.ts';
import { sessionPersistence } from './traffic/session-persistence/feature.ts';
import { sidecar } from './traffic/sidecar/feature.ts';
import { virtualService } from './traffic/virtual-service/feature.ts';

/**
 * Every capability, in the order in which decorators run: destination rules choose before automatic mTLS fills in, and retries look
 * at what the others made of a route.
 */
export const features: readonly Feature[] = [
  service,
  outbound,
  inbound,
  explicitCapture,
  sidecar,
  gateway,
  ingress,
  virtualService,
  gatewayApi,
  destinationRule,
  fileSecrets,
  peerAuthentication,
  mutualTls,
  requestAuthentication,
  authorizationPolicy,
  externalAuthorization,
  fault,
  cors,
  mirror,
  retry,
  protocolFilter,
  http10,
  sessionPersistence,
  inference,
  metrics,
  connectionSettings,
  accessLog,
  refusals,
  envoyFilter,
];

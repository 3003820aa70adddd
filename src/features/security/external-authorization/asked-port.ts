import { findPort, isHttp, speaksHttp2 } from '../../../plan/service-scope.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { destinationRuleFor, policyFor } from '../../traffic/destination-rule/schema.ts';

/**
 * Why a gRPC authorizer on a port of a service cannot be asked; undefined: it can. gRPC needs HTTP/2, which Envoy speaks where the port's
 * protocol says so, or where HTTP/1.1 is upgraded: otherwise every call would be refused without a reason.
 */
export function notGrpc(view: View, key: Key, portNumber: number): string | undefined {
  const service = view.get(serviceKind, key);
  const port = service && findPort(service, portNumber);
  if (!port || speaksHttp2(port)) return undefined;
  if (isHttp(port) && isUpgraded(view, service.hostname, service.namespace, portNumber)) return undefined;
  const taken = port.protocol === 'Unsupported' ? 'says no protocol' : `is taken for ${port.protocol}`;
  return `port ${portNumber} of ${service.hostname} ${taken}, and gRPC needs HTTP/2: name the port grpc, or set its appProtocol to grpc`;
}

function isUpgraded(view: View, host: string, namespace: string, port: number): boolean {
  const rules = view.call(destinationRuleFor, host, namespace);
  const wish = policyFor(view, rules, String(port), '')?.policy.connectionPool?.http?.h2UpgradePolicy;
  return wish === undefined || wish === 'DEFAULT'
    ? view.mesh('h2UpgradePolicy') === 'UPGRADE'
    : wish === 'UPGRADE';
}

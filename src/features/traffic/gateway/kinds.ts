import type {
  GatewayServers,
  GatewayServersTls,
  GatewaySpec,
} from '../../../../gen/crd/types/istio/gateway.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export type Gateway = ConfigObject<GatewaySpec>;
export type Server = GatewayServers;
export type ServerTls = GatewayServersTls;

export const gatewayKind = configKind<GatewaySpec>('Gateway');

/** Every Gateway, under ''. */
export const allGateways = defineIndex('gateways', gatewayKind, () => ['']);

export function gatewayOrigin(gateway: Gateway, path: string): Origin {
  return {
    kind: 'Gateway',
    namespace: gateway.metadata.namespace ?? 'default',
    name: gateway.metadata.name,
    path,
  };
}
